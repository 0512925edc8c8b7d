"""The conversation with a bot: who may say what, what is asked back, and what is answered."""
