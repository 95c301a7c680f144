"""What is asked: the space, the study's words, the order of its trials and how it ends."""
