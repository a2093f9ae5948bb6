"""An explorer's computation, recorded from torch and run by the page: ``record`` notes what torch does, ``lower`` makes
three kinds of steps of it, ``emit`` JavaScript of these; ``wiring`` says where its results stand in a picture."""
