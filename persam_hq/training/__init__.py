"""Training of lite and of SAM-type models: one loop, a recipe per kind of model, and what the recipes share."""
