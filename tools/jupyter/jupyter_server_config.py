"""Settings of the JupyterLab that `make lab` opens, and of no other."""

from jupyter_server.services.kernels.websocket import KernelWebsocketHandler

c = get_config()  # noqa: F821 - Jupyter defines it in its configuration files

# The course works without the network.
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"

# Nagle's algorithm, the default, delays small messages by up to 40 ms: each frame of a drag.
open_websocket = KernelWebsocketHandler.open


async def open_without_delay(self, kernel_id):
    """Open the websocket of a kernel with Nagle's algorithm off."""
    self.set_nodelay(True)
    return await open_websocket(self, kernel_id)


KernelWebsocketHandler.open = open_without_delay
