"""How reports are shown: as text for print, as HTML with pictures for notebooks."""
