"""People: who may sign in, and as what. How they prove it is identity's."""
