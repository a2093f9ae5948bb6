"""Documents, which reports are shown as: text for print, HTML with pictures for notebooks."""
