"""What is seen again is the same thing: identities over frames, and what these do at lines and in zones."""
