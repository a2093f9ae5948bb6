"""FrEIA's blocks, whose inputs and outputs are lists, and its models."""

from functools import partial

import torch
from FrEIA import framework as Ff
from FrEIA import modules as Fm
from torch import nn

from tests.peers.numerics import points
from tests.peers.registry import Layer, Library, Model

DIMS = [(5,)]
IMAGE, SMALL_IMAGE = points(3, 1, 4, 4), points(3, 4, 2, 2)
CONTEXT = points(7, 2, seed=1)
GIVEN = {"dims_c": [(2,)]}
APPROXIMATE = "an autoencoder, whose way back is an inverse once it is trained to be one"
IN_PLACE = {"changes-state": "the coefficients are multiplied in place, where they are not permuted before"}


def mlp(features_in, features_out):
    return nn.Sequential(nn.Linear(features_in, 8), nn.Tanh(), nn.Linear(8, features_out))


def convolutions(channels_in, channels_out):
    return nn.Sequential(nn.Conv2d(channels_in, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, channels_out, 3, padding=1))


def in_a_list(layer, x, context, **more):
    out = layer([x], **({} if context is None else {"c": [context]}), **more)[0]
    if isinstance(out, torch.Tensor):
        return out
    return out[0] if len(out) == 1 else torch.cat(out, 1)


def back_in_a_list(layer, y, context):
    return in_a_list(layer, y, context, rev=True)


def coupling(kind, **more):
    return lambda: kind(DIMS, subnet_constructor=mlp, **more)


def all_in_one(**more):
    return coupling(Fm.AllInOneBlock, **more)


def sequence():
    model = Ff.SequenceINN(5)
    for _ in range(2):
        model.append(Fm.GLOWCouplingBlock, subnet_constructor=mlp)
        model.append(Fm.PermuteRandom, seed=1)
    return model


def conditional_sequence():
    model = Ff.SequenceINN(5)
    for _ in range(2):
        model.append(Fm.AffineCouplingOneSided, cond=0, cond_shape=(2,), subnet_constructor=mlp)
    return model


def graph(**conditions):
    """Return two couplings in a row, given a context or nothing."""
    nodes = [Ff.InputNode(5)]
    for _ in range(2):
        nodes.append(Ff.Node(nodes[-1], Fm.GLOWCouplingBlock, {"subnet_constructor": mlp}, **conditions))
    return Ff.GraphINN([*nodes, *conditions.values(), Ff.OutputNode(nodes[-1])])


def branching_graph():
    """Return a graph in which the first two numbers and the last three go ways of their own."""
    start = Ff.InputNode(5)
    split = Ff.Node(start, Fm.Split, {"section_sizes": [2, 3]})
    upper = Ff.Node(split.out0, Fm.GLOWCouplingBlock, {"subnet_constructor": mlp})
    lower = Ff.Node(split.out1, Fm.GLOWCouplingBlock, {"subnet_constructor": mlp})
    joined = Ff.Node([upper.out0, lower.out0], Fm.Concat, {})
    return Ff.GraphINN([start, split, upper, lower, joined, Ff.OutputNode(joined)])


def block(build, structure, why, **more):
    # Some of FrEIA's tensors are float32 whatever the default dtype is.
    return Layer(
        partial(in_the_default_dtype, build), structure, why, **{"forward": in_a_list, "inverse": back_in_a_list} | more
    )


def in_the_default_dtype(build):
    return build().to(torch.get_default_dtype())


constant = partial(block, perturb=None)

LAYERS = {
    "NICECouplingBlock": block(
        coupling(Fm.NICECouplingBlock),
        "identity plus rank r",
        "y_1 = x_1 + F(x_2), y_2 = x_2 + G(y_1): J - I has rank 4 of 5",
    ),
    "RNVPCouplingBlock": block(coupling(Fm.RNVPCouplingBlock), "dense", "each half is scaled given the other"),
    "GLOWCouplingBlock": block(coupling(Fm.GLOWCouplingBlock), "dense", "each half is scaled given the other"),
    "GINCouplingBlock": block(coupling(Fm.GINCouplingBlock), "dense", "the same with scales whose product is 1"),
    "GLOWCouplingBlock, given a context": block(
        coupling(Fm.GLOWCouplingBlock, **GIVEN), "dense", "each half is scaled given the other", context=CONTEXT
    ),
    "AffineCouplingOneSided": block(
        coupling(Fm.AffineCouplingOneSided), "coupling", "the first two pass, the last three are scaled given them"
    ),
    "ConditionalAffineTransform": block(
        coupling(Fm.ConditionalAffineTransform, **GIVEN), "diagonal", "scaled given the context alone", context=CONTEXT
    ),
    "AllInOneBlock": block(
        all_in_one(),
        "triangular up to a permutation",
        "the first three are scaled, the last two are scaled given them, all are permuted",
        at_start="coupling",
    ),
    "AllInOneBlock, rotated": block(
        all_in_one(permute_soft=True), "dense", "a coupling and then a rotation drawn at random"
    ),
    "AllInOneBlock, sigmoid": block(
        all_in_one(global_affine_type="SIGMOID", global_affine_init=1.5),
        "triangular up to a permutation",
        "the same with other scales",
    ),
    "AllInOneBlock, permuted before": block(
        all_in_one(global_affine_type="EXP", reverse_permutation=True),
        "triangular up to a permutation",
        "permuted, a coupling, permuted back",
        at_start="coupling",
    ),
    "AllInOneBlock, reflected": block(
        all_in_one(learned_householder_permutation=2), "dense", "a coupling and then two reflections"
    ),
    "AllInOneBlock, given a context": block(
        all_in_one(**GIVEN),
        "triangular up to a permutation",
        "the same given the context",
        context=CONTEXT,
        at_start="coupling",
    ),
    "AllInOneBlock, images": block(
        lambda: Fm.AllInOneBlock([(4, 2, 2)], subnet_constructor=convolutions, permute_soft=True),
        "dense",
        "a coupling by convolutions and then a rotation of the channels",
        x=SMALL_IMAGE,
    ),
    "ActNorm": block(
        lambda: Fm.ActNorm(DIMS),
        "diagonal",
        "y = exp(s) x + t, once the first batch has set s and t",
        findings={"changes-state": "the first call writes s, t and a flag"},
    ),
    "HouseholderPerm": block(
        lambda: Fm.HouseholderPerm(DIMS, n_reflections=2), "orthogonal", "the product of two reflections"
    ),
    "InvAutoAct": block(lambda: Fm.InvAutoAct(DIMS), "diagonal", "each x_i by itself, with another slope below 0"),
    "InvAutoFC": constant(
        lambda: Fm.InvAutoFC(DIMS),
        "dense",
        "a matrix, its transpose back",
        findings={"inverse-wrong": APPROXIMATE, "log-det-wrong": "it claims 0, as if the matrix were orthogonal"},
        shown_by="test_autoencoder_is_not_orthogonal_before_it_is_trained",
    ),
    "PermuteRandom": constant(lambda: Fm.PermuteRandom(DIMS, seed=1), "permutation", "y_i = x_p(i)"),
    "FixedLinearTransform": constant(
        lambda: Fm.FixedLinearTransform(DIMS, M=torch.randn(5, 5)), "dense", "a matrix and its inverse"
    ),
    "Fixed1x1Conv": constant(
        lambda: Fm.Fixed1x1Conv([(4, 2, 2)], M=torch.randn(4, 4)),
        "block diagonal",
        "one 4 x 4 matrix for each of 4 pixels",
        x=SMALL_IMAGE,
    ),
    "InvertibleSigmoid": constant(
        lambda: Fm.InvertibleSigmoid(DIMS),
        "diagonal",
        "each x_i by itself",
    ),
    "HaarDownsampling": constant(
        lambda: Fm.HaarDownsampling([(1, 4, 4)]),
        "orthogonal",
        "four wavelets for each 2 x 2 pixels",
        x=IMAGE,
        findings=IN_PLACE,
    ),
    "HaarUpsampling": constant(
        lambda: Fm.HaarUpsampling([(4, 2, 2)]),
        "orthogonal",
        "the same from the coefficients back",
        x=SMALL_IMAGE,
        findings=IN_PLACE,
    ),
    "IRevNetDownsampling": constant(
        lambda: Fm.IRevNetDownsampling([(1, 4, 4)]), "permutation", "pixels become channels", x=IMAGE
    ),
    "Flatten": constant(lambda: Fm.Flatten([(4, 2, 2)]), "identity", "a shape alone changes", x=SMALL_IMAGE),
    "Split": constant(
        lambda: Fm.Split(DIMS, section_sizes=[2, 3]),
        "identity",
        "two outputs, side by side as they were",
        inverse=lambda layer, y, _: layer([y[:, :2], y[:, 2:]], rev=True)[0][0],
    ),
    "Concat": constant(
        lambda: Fm.Concat([(2,), (3,)]),
        "identity",
        "two inputs, side by side as they were",
        forward=lambda layer, x, _: layer([x[:, :2], x[:, 2:]])[0][0],
        inverse=lambda layer, y, _: torch.cat(layer([y], rev=True)[0], 1),
    ),
    "SequenceINN": block(sequence, "dense", "two couplings with permutations behind them"),
    "SequenceINN, given a context": block(
        conditional_sequence, "coupling", "the same coordinates pass twice", context=CONTEXT
    ),
    "GraphINN": block(graph, "dense", "two couplings of both halves"),
    "GraphINN, given a context": block(
        lambda: graph(conditions=Ff.ConditionNode(2)), "dense", "the same given the context", context=CONTEXT
    ),
    "GraphINN that branches": block(
        branching_graph, "block diagonal", "the first two numbers and the last three do not meet"
    ),
}

MODELS = {
    "SequenceINN": Model(sequence, ["dense", "permutation"] * 2, "dense"),
    "SequenceINN, given a context": Model(conditional_sequence, ["coupling", "coupling"], "coupling", context=CONTEXT),
    "GraphINN": Model(graph, ["dense", "dense"], "dense"),
    "GraphINN, given a context": Model(
        lambda: graph(conditions=Ff.ConditionNode(2)), ["dense", "dense"], "dense", context=CONTEXT
    ),
}

LIBRARY = Library(inverse=lambda layer, y: back_in_a_list(layer, y, None), layers=LAYERS, models=MODELS)
