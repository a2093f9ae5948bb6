"""From a lesson's Markdown source to the two notebooks that are built from it."""
