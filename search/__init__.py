"""Many runs: what to try next, where to run it, what came of it. The coordinator never imports TensorFlow."""
