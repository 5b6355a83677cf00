"""The three networks of a Stable Diffusion 1.x model, in plain PyTorch.

The one idea: attributes carry the names of the original single-file checkpoints, so that
`state_dict()` is the file and nothing has to be renamed (export.py adds the prefixes).
Shapes: pictures and latents [n,c,h,w], text [n,tokens,width].
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

import settings

GROUPS = 32
HEADS = 8  # of the UNet
TEXT_HEAD = 64  # channels a head of the text encoder
TOKENS = 77
LATENT_CHANNELS = 4
FACTOR = 2 ** (len(settings.AUTOENCODER_WIDTHS) - 1)  # pixels a side of a latent cell
FIRST_LOGVAR = -6.0  # an autoencoder that starts with noisy latents learns nothing for long


def norm(channels, eps):
    return nn.GroupNorm(GROUPS, channels, eps=eps)


def zeroed(layer):
    """The layer with zero weights: a residual branch that ends in it starts as the identity."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def identity(layer):
    """The layer with weights that give what they get."""
    nn.init.dirac_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def conv3(channels_in, channels_out, **options):
    return nn.Conv2d(channels_in, channels_out, 3, padding=1, **options)


def heads_of(x, heads):
    """[n,tokens,width] -> [n,heads,tokens,width/heads]"""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def attend(q, k, v, heads, causal=False):
    """Scaled dot-product attention of [n,tokens,width] tensors."""
    y = F.scaled_dot_product_attention(
        heads_of(q, heads), heads_of(k, heads), heads_of(v, heads), is_causal=causal
    )
    return y.transpose(1, 2).flatten(2)


# The autoencoder


class CoderBlock(nn.Module):
    """Two convolutions around a shortcut."""

    def __init__(self, channels_in, channels_out):
        super().__init__()
        self.norm1 = norm(channels_in, 1e-6)
        self.conv1 = conv3(channels_in, channels_out)
        self.norm2 = norm(channels_out, 1e-6)
        self.conv2 = zeroed(conv3(channels_out, channels_out))
        if channels_in != channels_out:
            self.nin_shortcut = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x):
        y = self.conv1(F.silu(self.norm1(x)))
        y = self.conv2(F.silu(self.norm2(y)))
        return y + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class CoderAttention(nn.Module):
    """Attention of every latent cell to every other, with one head."""

    def __init__(self, channels):
        super().__init__()
        self.norm = norm(channels, 1e-6)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x):
        a = self.norm(x)
        q, k, v = (part(a).flatten(2).transpose(1, 2) for part in (self.q, self.k, self.v))
        y = attend(q, k, v, 1).transpose(1, 2).reshape(x.shape)
        return x + self.proj_out(y)


class CoderMiddle(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.block_1 = CoderBlock(channels, channels)
        self.attn_1 = CoderAttention(channels)
        self.block_2 = CoderBlock(channels, channels)

    def forward(self, x):
        return self.block_2(self.attn_1(self.block_1(x)))


# What the convolutions of a change of size do at the start, to each channel alone.
MEAN_OF_FOUR = torch.tensor([[1.0, 1, 0], [1, 1, 0], [0, 0, 0]]) / 4
SMOOTHING = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16


class Resample(nn.Module):
    """The convolution that goes with a change of size. It starts by keeping its channels apart, so
    that with the residual branches at zero the whole coder starts as a smooth resize."""

    def __init__(self, channels, start, **options):
        super().__init__()
        self.conv = zeroed(nn.Conv2d(channels, channels, 3, **options))
        with torch.no_grad():
            self.conv.weight[range(channels), range(channels)] = start

    def forward(self, x):
        return self.conv(x)


class Encoder(nn.Module):
    """Pictures [n,3,h,w] -> mean and logarithm of the variance [n,8,h/f,w/f]."""

    def __init__(self, widths):
        super().__init__()
        self.conv_in = conv3(3, widths[0])
        self.down = nn.ModuleList()
        channels = widths[0]
        for level, width in enumerate(widths):
            stage = nn.Module()
            stage.block = nn.ModuleList([CoderBlock(channels, width)])
            channels = width
            if level < len(widths) - 1:
                stage.downsample = Resample(channels, MEAN_OF_FOUR, stride=2)
            self.down.append(stage)
        self.mid = CoderMiddle(channels)
        self.norm_out = norm(channels, 1e-6)
        self.conv_out = conv3(channels, 2 * LATENT_CHANNELS)

    def forward(self, x):
        x = self.conv_in(x)
        for stage in self.down:
            for block in stage.block:
                x = block(x)
            if hasattr(stage, "downsample"):
                x = stage.downsample(F.pad(x, (0, 1, 0, 1)))
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    """Latents [n,4,h,w] -> pictures [n,3,f*h,f*w]."""

    def __init__(self, widths):
        super().__init__()
        channels = widths[-1]
        self.conv_in = conv3(LATENT_CHANNELS, channels)
        self.mid = CoderMiddle(channels)
        stages = [nn.Module() for _ in widths]
        for level in reversed(range(len(widths))):
            width = widths[level]
            blocks = [CoderBlock(channels, width), CoderBlock(width, width)]
            stages[level].block = nn.ModuleList(blocks)
            channels = width
            if level:
                stages[level].upsample = Resample(channels, SMOOTHING, padding=1)
        self.up = nn.ModuleList(stages)
        self.norm_out = norm(channels, 1e-6)
        self.conv_out = conv3(channels, 3)

    def forward(self, z):
        x = self.mid(self.conv_in(z))
        for stage in reversed(self.up):
            for block in stage.block:
                x = block(x)
            if hasattr(stage, "upsample"):
                x = stage.upsample(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.conv_out(F.silu(self.norm_out(x)))


class Autoencoder(nn.Module):
    """Pictures in -1..1 to latents and back; `encode` and `decode` speak the UNet's scale."""

    def __init__(self, widths=settings.AUTOENCODER_WIDTHS):
        super().__init__()
        self.encoder = Encoder(widths)
        self.decoder = Decoder(widths)
        self.quant_conv = identity(nn.Conv2d(2 * LATENT_CHANNELS, 2 * LATENT_CHANNELS, 1))
        self.post_quant_conv = identity(nn.Conv2d(LATENT_CHANNELS, LATENT_CHANNELS, 1))
        with torch.no_grad():
            self.quant_conv.bias[LATENT_CHANNELS:] = FIRST_LOGVAR

    def moments(self, x):
        """Mean and logarithm of the variance of the latents, before their scale."""
        mean, logvar = self.quant_conv(self.encoder(x)).chunk(2, 1)
        return mean, logvar.clamp(-30, 20)

    def expand(self, z):
        """Pictures from latents before their scale."""
        return self.decoder(self.post_quant_conv(z))

    def encode(self, x):
        return self.moments(x)[0] * settings.LATENT_SCALE

    def decode(self, z):
        return self.expand(z / settings.LATENT_SCALE)


# The text encoder


class TextAttention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.heads = width // TEXT_HEAD

    def forward(self, x):
        y = attend(self.q_proj(x), self.k_proj(x), self.v_proj(x), self.heads, causal=True)
        return self.out_proj(y)


class TextMlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x):
        y = self.fc1(x)
        return self.fc2(y * torch.sigmoid(1.702 * y))  # CLIP's quick GELU


class TextLayer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(width)
        self.self_attn = TextAttention(width)
        self.layer_norm2 = nn.LayerNorm(width)
        self.mlp = TextMlp(width)

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class TextEncoder(nn.Module):
    """Rows of the vocabulary [n,77] -> [n,77,width]. `rows`: how many words it learns; the file
    has a row for every CLIP token, and zeros in those that no caption uses."""

    def __init__(self, rows, width=settings.TEXT_WIDTH, layers=settings.TEXT_LAYERS):
        super().__init__()
        self.embeddings = nn.Module()
        self.embeddings.token_embedding = nn.Embedding(rows, width)
        self.embeddings.position_embedding = nn.Embedding(TOKENS, width)
        nn.init.normal_(self.embeddings.token_embedding.weight, std=0.1)
        nn.init.normal_(self.embeddings.position_embedding.weight, std=0.02)
        self.encoder = nn.Module()
        self.encoder.layers = nn.ModuleList([TextLayer(width) for _ in range(layers)])
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, ids):
        x = self.embeddings.token_embedding(ids) + self.embeddings.position_embedding.weight
        for layer in self.encoder.layers:
            x = layer(x)
        return self.final_layer_norm(x)


# The UNet


class ResBlock(nn.Module):
    def __init__(self, channels_in, channels_out, time_width):
        super().__init__()
        self.in_layers = nn.Sequential(
            norm(channels_in, 1e-5), nn.SiLU(), conv3(channels_in, channels_out)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time_width, channels_out))
        self.out_layers = nn.Sequential(
            norm(channels_out, 1e-5),
            nn.SiLU(),
            nn.Identity(),
            zeroed(conv3(channels_out, channels_out)),
        )
        self.skip_connection = nn.Identity()
        if channels_in != channels_out:
            self.skip_connection = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x, time, _context):
        y = self.in_layers(x) + self.emb_layers(time)[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(y)


class CrossAttention(nn.Module):
    def __init__(self, width, context_width):
        super().__init__()
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context_width, width, bias=False)
        self.to_v = nn.Linear(context_width, width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(width, width))

    def forward(self, x, context):
        return self.to_out(attend(self.to_q(x), self.to_k(context), self.to_v(context), HEADS))


class Gate(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.proj = nn.Linear(width, 8 * width)

    def forward(self, x):
        value, gate = self.proj(x).chunk(2, -1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = nn.Sequential(Gate(width), nn.Identity(), nn.Linear(4 * width, width))

    def forward(self, x):
        return self.net(x)


class TransformerBlock(nn.Module):
    def __init__(self, width, context_width):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = CrossAttention(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.attn2 = CrossAttention(width, context_width)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width)

    def forward(self, x, context):
        a = self.norm1(x)
        x = x + self.attn1(a, a)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class Transformer(nn.Module):
    def __init__(self, width, context_width):
        super().__init__()
        self.norm = norm(width, 1e-6)
        self.proj_in = nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(width, context_width)])
        self.proj_out = zeroed(nn.Conv2d(width, width, 1))

    def forward(self, x, _time, context):
        n, c, h, w = x.shape
        y = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
        for block in self.transformer_blocks:
            y = block(y, context)
        return x + self.proj_out(y.transpose(1, 2).reshape(n, c, h, w))


class Downsample(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.op = conv3(width, width, stride=2)

    def forward(self, x, _time, _context):
        return self.op(x)


class Upsample(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = conv3(width, width)

    def forward(self, x, _time, _context):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class InputConv(nn.Conv2d):
    def forward(self, x, _time, _context):
        return super().forward(x)


def waves(t, width):
    """The sinusoids of times t [n] -> [n,width], cosines first."""
    rate = torch.exp(-math.log(10000.0) * torch.arange(width // 2) / (width // 2)).to(t.device)
    angle = t.float()[:, None] * rate
    return torch.cat([angle.cos(), angle.sin()], -1)


class Unet(nn.Module):
    """Noisy latents [n,4,h,w], times [n], text [n,77,c] -> their noise [n,4,h,w]; one resblock a
    level going down, two going up."""

    def __init__(
        self,
        widths=settings.UNET_WIDTHS,
        attention=settings.UNET_ATTENTION,
        context=settings.TEXT_WIDTH,
    ):
        super().__init__()
        base, time = widths[0], 4 * widths[0]
        self.base = base
        self.time_embed = nn.Sequential(nn.Linear(base, time), nn.SiLU(), nn.Linear(time, time))

        def level_block(channels_in, level):
            parts = [ResBlock(channels_in, widths[level], time)]
            if attention[level]:
                parts.append(Transformer(widths[level], context))
            return parts

        channels, skips, last = base, [base], len(widths) - 1
        first = InputConv(LATENT_CHANNELS, base, 3, padding=1)
        self.input_blocks = nn.ModuleList([nn.ModuleList([first])])
        for level, width in enumerate(widths):
            self.input_blocks.append(nn.ModuleList(level_block(channels, level)))
            channels = width
            skips.append(channels)
            if level < last:
                self.input_blocks.append(nn.ModuleList([Downsample(channels)]))
                skips.append(channels)
        self.middle_block = nn.ModuleList(
            [
                ResBlock(channels, channels, time),
                Transformer(channels, context),
                ResBlock(channels, channels, time),
            ]
        )
        self.output_blocks = nn.ModuleList()
        for level in reversed(range(len(widths))):
            for index in range(2):
                parts = level_block(channels + skips.pop(), level)
                channels = widths[level]
                if level and index == 1:
                    parts.append(Upsample(channels))
                self.output_blocks.append(nn.ModuleList(parts))
        self.out = nn.Sequential(
            norm(base, 1e-5), nn.SiLU(), zeroed(conv3(base, LATENT_CHANNELS))
        )

    def forward(self, x, t, context):
        time = self.time_embed(waves(t, self.base))
        skips = []
        for block in self.input_blocks:
            for part in block:
                x = part(x, time, context)
            skips.append(x)
        for part in self.middle_block:
            x = part(x, time, context)
        for block in self.output_blocks:
            skip = skips.pop()
            if x.shape[2:] != skip.shape[2:]:  # an odd size was rounded up on the way down
                x = F.interpolate(x, size=skip.shape[2:], mode="nearest")
            x = torch.cat([x, skip], 1)
            for part in block:
                x = part(x, time, context)
        return self.out(x)
