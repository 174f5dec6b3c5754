"""What each stage of a run does to the app under test."""
