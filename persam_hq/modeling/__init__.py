"""The modules of the models: encoders, prompt encoder, mask decoder."""
