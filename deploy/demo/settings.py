"""Every number of the recipe, in one place: sizes of the networks, amounts of training, seeds."""

SEED = 20260607

# Pictures
SIDES = (64, 96)  # pixels of a training picture: small ones cost half as much
SIDE = SIDES[0]  # what the model is made for
SOURCE = 128  # pixels of the bitmaps as they are kept
COLOURS = {
    "white": (255, 255, 255),
    "gray": (150, 152, 158),
    "black": (28, 28, 34),
    "red": (214, 66, 62),
    "orange": (244, 150, 60),
    "yellow": (250, 214, 92),
    "green": (88, 172, 100),
    "blue": (78, 140, 222),
    "purple": (146, 98, 200),
    "pink": (246, 172, 198),
}
STYLES = ("plain", "pixel art")
PIXEL = 4  # side of a block of the pixel art

# Networks. Every group norm has 32 groups. A norm forgets the level of groups of one or two channels,
# so the autoencoder has three where levels pass through a norm (straight.py), the UNet four.
LATENT_SCALE = 0.18215
AUTOENCODER_WIDTHS = (96, 64, 96)  # two halvings: a latent cell is 4x4 pixels
UNET_WIDTHS = (128, 128, 128)
UNET_ATTENTION = (False, True, True)  # the middle always has it
TEXT_WIDTH = 64
TEXT_LAYERS = 4

# Training: warm-up, a constant rate, and a linear fall over the last part (training.py), so that
# more steps can be added before the fall without starting again.
AUTOENCODER = {"steps": 4000, "rate": 1e-4, "betas": (0.9, 0.99), "decay": 1e-4, "ema": 0.998}
AUTOENCODER_BATCH = {64: 6, 96: 2}  # by side; they take turns
KL_WEIGHT = 3e-4
EDGE_WEIGHT = 0.5

TEXT = {"steps": 1500, "rate": 2e-3, "betas": (0.9, 0.99), "decay": 0.01, "ema": 0.99}
TEXT_BATCH = 64
DIFFUSION = {
    "steps": 6400,
    "rate": 1e-3,
    "shares": {"text": 0.2},  # of the rate: the text encoder has learned already
    "betas": (0.9, 0.99),
    "decay": 0.01,
    "ema": 0.998,
}
DIFFUSION_BATCH = 16
SMALL_SHARE = (1.0, 0.8)  # of the batches that have the smaller side: first half, second half
PLACEMENTS = {"plain": 8, "pixel art": 4}  # latents kept of each emoji on each colour
PIXEL_SHARE = 0.25
DROP_CAPTION = 0.1
DROP_BACKGROUND = 0.1
WEIGHT_MOST = 30.0  # of an error, for times with next to no picture left
