"""The gallery of explorers as notebooks: a cell for each, from the registry of `tests/explorers`."""

from tests.explorers.cells import GALLERY, gallery_notebook, notebook_of, write_gallery, write_notebook

__all__ = ["GALLERY", "gallery_notebook", "notebook_of", "write_gallery", "write_notebook"]
