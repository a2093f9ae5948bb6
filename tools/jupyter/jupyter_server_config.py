"""Settings of the JupyterLab that `make lab` opens; a JupyterLab started in another way never sees them."""

from jupyter_server.services.kernels.websocket import KernelWebsocketHandler

c = get_config()  # noqa: F821 - Jupyter gives it to its configuration files

# The course needs nothing from the network.
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"

# Small messages wait up to 40 ms for company (Nagle's algorithm) unless told not to: in a drag, that is every frame.
open_websocket = KernelWebsocketHandler.open


async def open_without_delay(self, kernel_id):
    """Open the kernel's websocket with Nagle's algorithm off."""
    self.set_nodelay(True)
    return await open_websocket(self, kernel_id)


KernelWebsocketHandler.open = open_without_delay
