"""Where the autoencoder starts: as a blur instead of as noise, so that training only adds detail.

Residual branches start at zero (nets.py); here the way past them is made to carry the mean colour of
each latent cell, and back. Only the two norms at the ends are in its way: a norm whose group holds
nothing but a colour forgets how strong the colour is. So each of their groups is (signal, C, -C):
the constants rule the group's variance, and the signal comes out as it went in, times a known
gain. A signal and its opposite then undo the SiLU: silu(x) - silu(-x) = x.
"""
import torch

from nets import GROUPS, LATENT_CHANNELS

COLOURS = 3
REFERENCE = 2.0  # C
GAIN = (2 / 3) * 1.5**0.5 / REFERENCE  # of a norm over (signal, C, -C), for a small signal


def only(conv, out, source, value):
    """Output channel `out` becomes `value` times input channel `source`."""
    centre = conv.weight.shape[-1] // 2
    conv.weight[out] = 0
    conv.bias[out] = 0
    conv.weight[out, source, centre, centre] = value


def pass_on(conv, count):
    for channel in range(count):
        only(conv, channel, channel, 1.0)


def with_references(conv, signals):
    """Groups (signal, C, -C): colours, their opposites, and other channels of the input, which
    come after its first `signals`."""
    width = conv.weight.shape[0] // GROUPS
    if width < 3:
        raise ValueError(f"{width} channels a norm group, expected at least 3")
    for group in range(GROUPS):
        first = group * width
        colour, opposite = group % COLOURS, COLOURS <= group < 2 * COLOURS
        source = colour if group < 2 * COLOURS else signals + group - 2 * COLOURS
        only(conv, first, source, -1.0 if opposite else 1.0)
        for place, constant in ((first + 1, REFERENCE), (first + 2, -REFERENCE)):
            only(conv, place, 0, 0.0)
            conv.bias[place] = constant


def read_signals(conv):
    """Output channels 0, 1, 2 become the three colours that with_references has laid down."""
    width = conv.weight.shape[1] // GROUPS
    for colour in range(COLOURS):
        only(conv, colour, width * colour, 1 / GAIN)
        conv.weight[colour, width * (colour + COLOURS), 1, 1] = -1 / GAIN


@torch.no_grad()
def start_straight(net):
    """Prepares an autoencoder of widths (96, 64, 96) or alike: shortcuts at every change."""
    encoder, decoder = net.encoder, net.decoder
    pass_on(encoder.conv_in, COLOURS)
    pass_on(encoder.down[1].block[0].nin_shortcut, COLOURS)
    with_references(encoder.down[2].block[0].nin_shortcut, COLOURS)
    read_signals(encoder.conv_out)
    encoder.conv_out.weight[LATENT_CHANNELS:] = 0
    pass_on(decoder.conv_in, LATENT_CHANNELS)
    pass_on(decoder.up[1].block[0].nin_shortcut, LATENT_CHANNELS)
    with_references(decoder.up[0].block[0].nin_shortcut, LATENT_CHANNELS)
    read_signals(decoder.conv_out)
