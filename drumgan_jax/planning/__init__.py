"""What a run needs on chips that are not here: its programs compiled for them, and time and cost by a roofline."""
