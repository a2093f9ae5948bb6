"""The steps from the Markdown source of a lesson to its two notebooks."""
