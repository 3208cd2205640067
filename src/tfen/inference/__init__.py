"""Looking at recordings that nobody has labelled."""
