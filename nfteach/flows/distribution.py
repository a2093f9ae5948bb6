"""The distribution of the output of a flow."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, TransformedDistribution

from .flow import Flow

__all__ = ["FlowDistribution"]


class FlowDistribution(TransformedDistribution):
    r"""The distribution of x = flow(z) with z drawn from ``base``: log q(x) = log p(z) + log\|det dz/dx\|.

    A :class:`torch.distributions.TransformedDistribution` whose density takes a single pass through the flow's inverse
    instead of one for z and another for the log-determinant.

    Args:
        base: the distribution of z. Its event shape must be the flow's. Otherwise its batch shape must end with the
            flow's event shape; these batch dimensions then count as one event, as in torch.
        flow: the map z -> x.

    Raises:
        ValueError: if ``flow`` is not a ``Flow``, or the event shapes of base and flow differ.

    References:
        Papamakarios et al. (2021), equation 2, https://arxiv.org/abs/1912.02762

    Example:
        >>> from nfteach.flows import Permutation
        >>> base = torch.distributions.Normal(torch.zeros(2), torch.ones(2))
        >>> q = FlowDistribution(base, Permutation([1, 0]))
        >>> q.log_prob(torch.zeros(5, 2)).shape
        torch.Size([5])
    """

    def __init__(self, base: Distribution, flow: Flow, validate_args: bool | None = None) -> None:
        if not isinstance(flow, Flow):
            raise ValueError(f"flow must be a Flow, but is a {type(flow).__name__}")
        n = len(flow.event_shape)
        shape = base.batch_shape + base.event_shape
        if len(base.event_shape) > n or shape[len(shape) - n :] != flow.event_shape:
            raise ValueError(
                f"base must draw events of shape {tuple(flow.event_shape)}, those of the flow, "
                f"but draws events of shape {tuple(base.event_shape)} in batches of {tuple(base.batch_shape)}"
            )
        super().__init__(base, flow, validate_args=validate_args)
        self.flow = flow

    def expand(self, batch_shape: Sequence[int], _instance: Distribution | None = None) -> FlowDistribution:
        base = self.base_dist.expand(torch.Size(batch_shape))
        return type(self)(base, self.flow, validate_args=self._validate_args)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log q(x) in nats, shape (...), for x (..., D)."""
        z, ladj = self.flow.inverse_and_ladj(value)
        return self.base_dist.log_prob(z) + ladj
