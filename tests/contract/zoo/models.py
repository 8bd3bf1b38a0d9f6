"""The models of the zoo: for each library a function that yields what makes a model, and what it takes.

Configurations are shrunk, weights are random, and nothing is downloaded. A library is imported by its own
function only.
"""

import inspect
from functools import partial

import torch
from torch import nn

from nnspec.contract.zoo import find_model


def floats(*shape):
    """Makes normal numbers."""
    return partial(torch.randn, *shape)


def tokens(*shape, below=64):
    """Makes whole numbers."""
    return partial(torch.randint, 0, below, shape)


def together(*makers, **named):
    """Makes several inputs, and those that are given by name."""
    return lambda: (tuple(make() for make in makers), {name: make() for name, make in named.items()})


def named(prefix, *names):
    """Models that the contract itself finds by name, with the inputs that it makes."""
    for name in names:
        make, make_inputs = find_model(f"{prefix}:{name}")
        yield name, make, make_inputs


class Covariance(nn.Module):
    """A kernel as a matrix."""

    def __init__(self, kernel):
        super().__init__()
        self.kernel = kernel

    def forward(self, x):
        return self.kernel(x).to_dense()


class Spiking(nn.Module):
    """A spiking cell behind a linear layer."""

    def __init__(self, cell, **options):
        super().__init__()
        self.linear, self.cell = nn.Linear(8, 4), cell(init_hidden=True, **options)

    def forward(self, x):
        return self.cell(self.linear(x))


class Rotated(nn.Module):
    """A rotary embedding behind a linear layer."""

    def __init__(self, rotary):
        super().__init__()
        self.rotary, self.linear = rotary, nn.Linear(16, 16)

    def forward(self, x):
        return self.rotary.rotate_queries_or_keys(self.linear(x))


class Field(nn.Module):
    """What a differential equation is made of."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4))

    def forward(self, t, y):
        return self.layers(y)


class Flow(nn.Module):
    """A differential equation, solved."""

    def __init__(self, solve):
        super().__init__()
        self.field, self.solve = Field(), solve
        self.register_buffer("times", torch.linspace(0, 1, 3))

    def forward(self, x):
        return self.solve(self.field, x, self.times, method="rk4")[-1]


def layers():
    """The layers of torch.nn itself."""
    for name in ("BatchNorm1d", "InstanceNorm1d"):
        yield name, partial(getattr(nn, name), 4, affine=True), floats(3, 4, 5)
    for size, shape in ((1, (9,)), (2, (9, 9)), (3, (5, 5, 5))):
        yield f"Conv{size}d", partial(getattr(nn, f"Conv{size}d"), 4, 2, 3), floats(3, 4, *shape)
        transposed = getattr(nn, f"ConvTranspose{size}d")
        yield f"ConvTranspose{size}d", partial(transposed, 4, 2, 3), floats(3, 4, *shape)
        yield f"LazyConv{size}d", partial(getattr(nn, f"LazyConv{size}d"), 2, 3), floats(3, 4, *shape)
        for kind in ("MaxPool", "AvgPool", "AdaptiveAvgPool", "Dropout"):
            pool = getattr(nn, f"{kind}{size}d")
            yield f"{kind}{size}d", partial(pool, 0.5 if kind == "Dropout" else 2), floats(3, 4, *shape)
    for name in ("RNN", "LSTM", "GRU"):
        sizes = {"num_layers": 2, "batch_first": True, "bidirectional": True}
        yield name, partial(getattr(nn, name), 4, 5, **sizes), floats(3, 6, 4)
        yield f"{name}Cell", partial(getattr(nn, f"{name}Cell"), 4, 5), floats(3, 4)
    attention = partial(nn.MultiheadAttention, 4, 2, batch_first=True)
    yield "MultiheadAttention", attention, together(*[floats(3, 5, 4)] * 3)
    small = {"d_model": 4, "nhead": 2, "dim_feedforward": 8, "batch_first": True}
    yield "TransformerEncoderLayer", partial(nn.TransformerEncoderLayer, **small), floats(3, 5, 4)
    pair = together(floats(3, 5, 4), floats(3, 5, 4))
    yield "TransformerDecoderLayer", partial(nn.TransformerDecoderLayer, **small), pair
    stacked = partial(nn.Transformer, num_encoder_layers=1, num_decoder_layers=1, **small)
    yield "Transformer", stacked, pair
    yield "Linear", partial(nn.Linear, 4, 2), floats(3, 4)
    yield "LazyLinear", partial(nn.LazyLinear, 2), floats(3, 4)
    yield "Bilinear", partial(nn.Bilinear, 4, 5, 2), together(floats(3, 4), floats(3, 5))
    yield "Embedding", partial(nn.Embedding, 9, 4), tokens(3, 5, below=9)
    yield "EmbeddingBag", partial(nn.EmbeddingBag, 9, 4), tokens(3, 5, below=9)
    for name, shape in (("LayerNorm", 4), ("RMSNorm", 4)):
        yield name, partial(getattr(nn, name), shape), floats(3, 5, 4)
    yield "GroupNorm", partial(nn.GroupNorm, 2, 4), floats(3, 4, 5)
    yield "LocalResponseNorm", partial(nn.LocalResponseNorm, 2), floats(3, 4, 5)
    for name in (
        "ReLU",
        "GELU",
        "SiLU",
        "Tanh",
        "Softplus",
        "PReLU",
        "RReLU",
        "Hardswish",
        "Identity",
        "Flatten",
    ):
        yield name, getattr(nn, name), floats(3, 4)
    yield "Softmax", partial(nn.Softmax, 1), floats(3, 4)
    yield "Upsample", partial(nn.Upsample, scale_factor=2), floats(3, 4, 5, 5)
    yield "PixelShuffle", partial(nn.PixelShuffle, 2), floats(3, 4, 5, 5)
    yield "ZeroPad2d", partial(nn.ZeroPad2d, 1), floats(3, 4, 5, 5)
    yield "CrossEntropyLoss", nn.CrossEntropyLoss, together(floats(3, 4), tokens(3, below=4))
    yield "MSELoss", nn.MSELoss, together(floats(3, 4), floats(3, 4))


def timm():
    yield from named(
        *("timm", "test_vit", "test_vit2", "test_vit3", "test_vit4", "test_resnet", "test_efficientnet"),
        *("test_efficientnet_gn", "test_efficientnet_ln", "test_efficientnet_evos", "test_byobnet"),
        *("test_convnext", "test_convnext2", "test_convnext3", "test_nfnet", "test_mambaout"),
        *("mobilenetv3_small_050", "ghostnet_050", "edgenext_xx_small", "mobilevit_xxs", "lcnet_035"),
    )


def transformers():
    yield from named(
        *("hf", "BertConfig", "RobertaConfig", "DistilBertConfig", "AlbertConfig", "ElectraConfig"),
        *("MPNetConfig", "FNetConfig", "RoFormerConfig", "NystromformerConfig", "DebertaV2Config"),
        *("GPT2Config", "GPTNeoXConfig", "LlamaConfig", "MistralConfig", "Qwen2Config", "OPTConfig"),
        *("MambaConfig", "XLNetConfig", "T5Config", "BartConfig", "MarianConfig", "ViTConfig", "DeiTConfig"),
        *("BeitConfig", "ConvNextConfig", "CTRLConfig", "XGLMConfig", "SqueezeBertConfig"),
    )


def peft():
    import peft

    make, make_inputs = find_model("hf:LlamaConfig")
    settings = {
        "LoRA": lambda: peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"]),
        "DoRA": lambda: peft.LoraConfig(r=4, target_modules=["q_proj"], use_dora=True),
        "IA3": lambda: peft.IA3Config(
            target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]
        ),
        "LoHa": lambda: peft.LoHaConfig(r=4, target_modules=["q_proj"]),
    }
    for name, config in settings.items():
        yield name, lambda config=config: peft.get_peft_model(make(), config()), make_inputs


def torchvision():
    from torchvision.models import detection, optical_flow, segmentation, video

    untrained = {"weights": None, "weights_backbone": None, "num_classes": 3}

    def pictures():
        boxes = torch.tensor([[4.0, 4.0, 40.0, 40.0]])
        targets = [{"boxes": boxes.clone(), "labels": torch.tensor([1])} for _ in range(2)]
        return [torch.rand(3, 96, 96) for _ in range(2)], targets

    yield "SSDlite", partial(detection.ssdlite320_mobilenet_v3_large, **untrained), pictures
    faster = partial(detection.fasterrcnn_mobilenet_v3_large_320_fpn, **untrained)
    yield "Faster R-CNN", faster, pictures
    for name in ("lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large"):
        yield name, partial(getattr(segmentation, name), **untrained), floats(2, 3, 64, 64)
    raft = partial(optical_flow.raft_small, weights=None)
    yield "RAFT", raft, together(floats(2, 3, 128, 128), floats(2, 3, 128, 128))
    yield "r2plus1d", lambda: nn.Sequential(video.r2plus1d_18().stem), floats(2, 3, 4, 32, 32)


def segmentation_models_pytorch():
    import segmentation_models_pytorch as smp

    for name in ("Unet", "UnetPlusPlus", "FPN", "PSPNet", "Linknet", "MAnet", "DeepLabV3Plus"):
        yield name, partial(getattr(smp, name), "mobilenet_v2", encoder_weights=None), floats(2, 3, 64, 64)
    yield "Segformer", partial(smp.Segformer, "mobilenet_v2", encoder_weights=None), floats(2, 3, 64, 64)


def torch_geometric():
    from torch_geometric import nn as geometric

    def graph():  # with one neighbor each, attention has nothing to choose
        return torch.randn(6, 8), torch.tensor([[0, 1, 2, 3, 4, 5, 0, 2], [1, 2, 3, 4, 5, 0, 3, 5]])

    for name in ("GCN", "GraphSAGE", "GAT", "GIN", "EdgeCNN"):
        yield name, partial(getattr(geometric, name), 8, 16, 2, 4), graph
    for name in ("GCNConv", "GATv2Conv", "TransformerConv", "SAGEConv", "GraphConv", "TAGConv", "ARMAConv"):
        yield name, partial(getattr(geometric, name), 8, 4), graph
    yield "GraphUNet", partial(geometric.GraphUNet, 8, 16, 4, depth=2), graph
    yield "MLP", partial(geometric.MLP, [8, 16, 4]), floats(6, 8)
    attentive = partial(geometric.AttentiveFP, 8, 16, 4, edge_dim=3, num_layers=2, num_timesteps=2)
    batch = partial(torch.zeros, 6, dtype=torch.int64)
    yield "AttentiveFP", attentive, lambda: (*graph(), torch.randn(8, 3), batch())


def x_transformers():
    from x_transformers import (
        AutoregressiveWrapper,
        ContinuousTransformerWrapper,
        Decoder,
        Encoder,
        TransformerWrapper,
        ViTransformerWrapper,
        XTransformer,
    )

    small = {"dim": 32, "depth": 2, "heads": 2, "attn_dim_head": 16}

    def language(kind, **options):
        return TransformerWrapper(num_tokens=64, max_seq_len=32, attn_layers=kind(**small, **options))

    yield "Encoder", partial(language, Encoder), tokens(2, 16)
    yield "Decoder", partial(language, Decoder), tokens(2, 16)
    options = {
        "rotary": {"rotary_pos_emb": True},
        "ALiBi": {"alibi_pos_bias": True},
        "relative": {"rel_pos_bias": True},
        "RMSNorm and GLU": {"use_rmsnorm": True, "ff_glu": True},
        "one KV head": {"attn_one_kv_head": True},
    }
    for name, option in options.items():
        yield f"Decoder, {name}", partial(language, Decoder, **option), tokens(2, 16)
    yield "Autoregressive", lambda: AutoregressiveWrapper(language(Decoder)), tokens(2, 16)
    continuous = {"dim_in": 8, "dim_out": 4, "max_seq_len": 32}
    yield (
        "Continuous",
        lambda: ContinuousTransformerWrapper(attn_layers=Encoder(**small), **continuous),
        floats(2, 16, 8),
    )
    yield (
        "ViT",
        lambda: ViTransformerWrapper(
            image_size=32, patch_size=8, num_classes=4, attn_layers=Encoder(**small)
        ),
        floats(2, 3, 32, 32),
    )
    sides = {f"{side}_{key}": value for side in ("enc", "dec") for key, value in (("depth", 1), ("heads", 2))}
    sizes = {"enc_num_tokens": 64, "enc_max_seq_len": 32, "dec_num_tokens": 64, "dec_max_seq_len": 32}
    yield (
        "XTransformer",
        partial(XTransformer, dim=32, **sides, **sizes),
        together(tokens(2, 16), tokens(2, 16)),
    )


def vit_pytorch():
    import vit_pytorch as vits
    from vit_pytorch.cait import CaiT
    from vit_pytorch.cct import CCT
    from vit_pytorch.cross_vit import CrossViT
    from vit_pytorch.cvt import CvT
    from vit_pytorch.deepvit import DeepViT
    from vit_pytorch.levit import LeViT
    from vit_pytorch.mobile_vit import MobileViT
    from vit_pytorch.nest import NesT
    from vit_pytorch.pit import PiT
    from vit_pytorch.vit_for_small_dataset import ViT as SmallViT
    from vit_pytorch.xcit import XCiT

    picture = floats(2, 3, 32, 32)
    small = {"image_size": 32, "patch_size": 8, "num_classes": 4, "dim": 32, "heads": 2, "mlp_dim": 48}
    yield "ViT", partial(vits.ViT, **small, depth=2), picture
    yield "ViT with dropout", partial(vits.ViT, **small, depth=2, dropout=0.1, emb_dropout=0.1), picture
    yield "SimpleViT", partial(vits.SimpleViT, **small, depth=2), picture
    yield "ViT for small data", partial(SmallViT, **small, depth=2), picture
    yield "DeepViT", partial(DeepViT, **small, depth=2), picture
    yield "CaiT", partial(CaiT, **small, depth=2, cls_depth=1, layer_dropout=0.05), picture
    yield "XCiT", partial(XCiT, **small, depth=2, cls_depth=1), picture
    yield "PiT", partial(PiT, **small, depth=(1, 1)), picture
    yield "CvT", partial(CvT, num_classes=4, s1_emb_dim=16, s2_emb_dim=32, s3_emb_dim=48, s3_depth=1), picture
    cct = {"embedding_dim": 32, "n_conv_layers": 1, "num_layers": 2, "num_heads": 2, "mlp_ratio": 2.0}
    yield (
        "CCT",
        partial(CCT, img_size=(32, 32), num_classes=4, positional_embedding="learnable", **cct),
        picture,
    )
    levit = {"image_size": 64, "num_classes": 4, "stages": 2, "dim": (32, 48), "depth": 1, "heads": (2, 3)}
    yield "LeViT", partial(LeViT, **levit, mlp_mult=2), floats(2, 3, 64, 64)
    nest = {
        "image_size": 32,
        "patch_size": 4,
        "dim": 16,
        "heads": 2,
        "num_hierarchies": 2,
        "block_repeats": (1, 1),
    }
    yield "NesT", partial(NesT, **nest, num_classes=4), picture
    cross = {
        "sm_dim": 16,
        "sm_patch_size": 8,
        "lg_dim": 32,
        "lg_patch_size": 16,
        "depth": 1,
        "num_classes": 4,
    }
    yield "CrossViT", partial(CrossViT, image_size=32, **cross), picture
    mobile = {"dims": [16, 24, 32], "channels": [8, 8, 16, 16, 24, 24, 32, 32, 32, 32, 48]}
    yield "MobileViT", partial(MobileViT, image_size=(64, 64), num_classes=4, **mobile), floats(2, 3, 64, 64)


def monai():
    from monai import losses
    from monai.networks import nets

    volume = floats(2, 1, 32, 32)
    steps = {"channels": (4, 8, 16), "strides": (2, 2)}
    yield "UNet", partial(nets.UNet, spatial_dims=2, in_channels=1, out_channels=2, **steps), volume
    attention = partial(nets.AttentionUnet, spatial_dims=2, in_channels=1, out_channels=2, **steps)
    yield "AttentionUnet", attention, volume
    yield "BasicUNet", partial(nets.BasicUNet, spatial_dims=2, features=(4, 4, 8, 8, 16, 4)), volume
    yield (
        "SegResNet",
        partial(nets.SegResNet, spatial_dims=2, init_filters=8, blocks_down=(1, 1), blocks_up=(1,)),
        volume,
    )
    pairs = {"channels": (4, 8), "strides": (2, 2)}
    yield (
        "AutoEncoder",
        partial(nets.AutoEncoder, spatial_dims=2, in_channels=1, out_channels=1, **pairs),
        volume,
    )
    yield "HighResNet", partial(nets.HighResNet, spatial_dims=2), volume
    dense = {"init_features": 8, "growth_rate": 4, "block_config": (2, 2)}
    yield "DenseNet", partial(nets.DenseNet, spatial_dims=2, in_channels=1, out_channels=2, **dense), volume
    unetr = {"feature_size": 4, "hidden_size": 32, "mlp_dim": 48, "num_heads": 2, "spatial_dims": 2}
    yield "UNETR", partial(nets.UNETR, in_channels=1, out_channels=2, img_size=32, **unetr), volume
    labels = together(floats(2, 2, 8, 8), partial(torch.ones, 2, 2, 8, 8))
    yield "DiceLoss", partial(losses.DiceLoss, sigmoid=True), labels
    yield "FocalLoss", losses.FocalLoss, labels


def open_clip():
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP

    sizes = {"width": 32, "layers": 2}
    parts = {
        "embed_dim": 16,
        "vision_cfg": CLIPVisionCfg(image_size=32, patch_size=8, head_width=16, **sizes),
        "text_cfg": CLIPTextCfg(context_length=8, vocab_size=64, heads=2, **sizes),
    }
    example = together(floats(2, 3, 32, 32), tokens(2, 8))
    yield "CLIP", partial(CLIP, **parts), example
    yield "CustomTextCLIP", partial(CustomTextCLIP, **parts), example


def diffusers():
    from diffusers import models

    groups = {"norm_num_groups": 4, "block_out_channels": (8, 16), "layers_per_block": 1}
    latent = {"sample": floats(2, 4, 16, 16), "timestep": lambda: torch.tensor([3, 5])}
    unet = {"sample_size": 16, "in_channels": 4, "out_channels": 4, **groups}
    down, up = ("DownBlock2D", "AttnDownBlock2D"), ("AttnUpBlock2D", "UpBlock2D")
    plain = partial(
        models.UNet2DModel, down_block_types=down, up_block_types=up, attention_head_dim=4, **unet
    )
    yield "UNet2DModel", plain, together(**latent)
    cross = {"cross_attention_dim": 16, "attention_head_dim": 2}
    down, up = ("DownBlock2D", "CrossAttnDownBlock2D"), ("CrossAttnUpBlock2D", "UpBlock2D")
    conditioned = partial(
        models.UNet2DConditionModel, down_block_types=down, up_block_types=up, **cross, **unet
    )
    yield "UNet2DConditionModel", conditioned, together(**latent, encoder_hidden_states=floats(2, 5, 16))
    coder = {
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        **groups,
    }
    yield "AutoencoderKL", partial(models.AutoencoderKL, **coder), floats(2, 3, 16, 16)
    yield "VQModel", partial(models.VQModel, num_vq_embeddings=16, **coder), floats(2, 3, 16, 16)
    sizes = {"num_attention_heads": 2, "attention_head_dim": 8}
    dit = {"in_channels": 4, "num_layers": 2, "sample_size": 16, "patch_size": 4, "norm_num_groups": 4}
    labels = {"hidden_states": latent["sample"], "timestep": latent["timestep"], "class_labels": tokens(2)}
    yield "DiT", partial(models.DiTTransformer2DModel, **sizes, **dit), together(**labels)


def e3nn():
    from e3nn import nn as equivariant
    from e3nn import o3

    irreps = "4x0e + 2x1o"
    yield "o3.Linear", partial(o3.Linear, irreps, irreps), floats(3, 10)
    product = partial(o3.FullyConnectedTensorProduct, irreps, "1x1o", irreps)
    yield "FullyConnectedTensorProduct", product, together(floats(3, 10), floats(3, 3))
    yield "BatchNorm", partial(equivariant.BatchNorm, irreps), floats(4, 10)
    yield "FullyConnectedNet", partial(equivariant.FullyConnectedNet, [4, 8, 2], torch.tanh), floats(3, 4)
    yield "Norm", partial(o3.Norm, irreps), floats(3, 10)


def gpytorch():
    import gpytorch

    class Approximate(gpytorch.models.ApproximateGP):
        def __init__(self):
            inducing = torch.linspace(0, 1, 5).unsqueeze(-1)
            distribution = gpytorch.variational.CholeskyVariationalDistribution(5)
            super().__init__(gpytorch.variational.VariationalStrategy(self, inducing, distribution))
            self.mean_module = gpytorch.means.ConstantMean()
            self.covar_module = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel())

        def forward(self, x):
            return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))

    yield "ApproximateGP", Approximate, floats(4, 1)
    yield "ConstantMean", gpytorch.means.ConstantMean, floats(4, 2)
    yield "LinearMean", partial(gpytorch.means.LinearMean, 2), floats(4, 2)

    for kernel in ("RBFKernel", "MaternKernel", "PeriodicKernel", "RQKernel"):
        yield kernel, lambda kernel=kernel: Covariance(getattr(gpytorch.kernels, kernel)()), floats(4, 2)


def torchmetrics():
    from torchmetrics import MeanSquaredError, MetricCollection, PearsonCorrCoef, classification

    classes = together(floats(6, 4), tokens(6, below=4))
    yield "MulticlassAccuracy", partial(classification.MulticlassAccuracy, num_classes=4), classes
    yield (
        "MulticlassConfusionMatrix",
        partial(classification.MulticlassConfusionMatrix, num_classes=4),
        classes,
    )
    yield "BinaryAUROC", classification.BinaryAUROC, together(floats(6), tokens(6, below=2))
    yield "MeanSquaredError", MeanSquaredError, together(floats(6), floats(6))
    yield "PearsonCorrCoef", PearsonCorrCoef, together(floats(6), floats(6))
    parts = [classification.MulticlassF1Score, classification.MulticlassRecall]
    yield "MetricCollection", lambda: MetricCollection([part(num_classes=4) for part in parts]), classes


def snntorch():
    import snntorch as snn

    yield "Leaky", partial(Spiking, snn.Leaky, beta=0.9), floats(3, 8)
    yield (
        "learned Leaky",
        partial(Spiking, snn.Leaky, beta=0.9, learn_beta=True, learn_threshold=True),
        floats(3, 8),
    )
    yield "Synaptic", partial(Spiking, snn.Synaptic, alpha=0.9, beta=0.8), floats(3, 8)
    yield "RLeaky", partial(Spiking, snn.RLeaky, beta=0.9, linear_features=4), floats(3, 8)


def neuralop():
    from neuralop import models

    sizes = {"in_channels": 2, "out_channels": 1, "hidden_channels": 8}
    yield "FNO", partial(models.FNO, n_modes=(4, 4), n_layers=2, **sizes), floats(2, 2, 16, 16)
    yield "TFNO", partial(models.TFNO, n_modes=(4, 4), n_layers=2, rank=0.5, **sizes), floats(2, 2, 16, 16)


def kornia():
    from kornia import color, feature, filters, losses

    yield "GaussianBlur2d", partial(filters.GaussianBlur2d, (3, 3), (1.0, 1.0)), floats(2, 3, 16, 16)
    yield "Sobel", filters.Sobel, floats(2, 3, 16, 16)
    yield "RgbToLab", color.RgbToLab, partial(torch.rand, 2, 3, 8, 8)
    for name in ("HardNet", "SOSNet", "TFeat"):
        yield name, partial(getattr(feature, name), False), floats(2, 1, 32, 32)
    yield "SSIMLoss", partial(losses.SSIMLoss, 5), together(floats(2, 1, 16, 16), floats(2, 1, 16, 16))


def torchao():
    from torchao import quantization

    def quantized(config):
        net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32))
        quantization.quantize_(net, config())
        return net

    yield "int8 weights", partial(quantized, quantization.Int8WeightOnlyConfig), floats(3, 64)
    activations = quantization.Int8DynamicActivationInt8WeightConfig
    yield "int8 weights and activations", partial(quantized, activations), floats(3, 64)


def linear_attention_transformer():
    from linear_attention_transformer import LinearAttentionTransformer, LinearAttentionTransformerLM

    small = {"dim": 32, "depth": 2, "heads": 2, "max_seq_len": 32}
    yield "LM", partial(LinearAttentionTransformerLM, num_tokens=64, causal=True, **small), tokens(2, 32)
    reversible = partial(LinearAttentionTransformer, reversible=True, **small)
    yield "reversible", reversible, floats(2, 32, 32)


def perceiver_pytorch():
    from perceiver_pytorch import Perceiver, PerceiverIO

    small = {"depth": 2, "num_latents": 8, "latent_dim": 16, "latent_heads": 2, "latent_dim_head": 8}
    image = {"input_channels": 3, "input_axis": 2, "num_freq_bands": 2, "max_freq": 4.0, "num_classes": 4}
    yield "Perceiver", partial(Perceiver, **small, **image), floats(2, 8, 8, 3)
    io = partial(PerceiverIO, dim=8, queries_dim=8, logits_dim=4, **small)
    yield "PerceiverIO", io, together(floats(2, 6, 8), queries=floats(5, 8))


def einops():
    from einops.layers.torch import EinMix, Rearrange, Reduce

    yield (
        "Rearrange",
        lambda: nn.Sequential(Rearrange("b c h w -> b (c h w)"), nn.Linear(48, 4)),
        floats(2, 3, 4, 4),
    )
    yield (
        "Reduce",
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Reduce("b c h w -> b c", "max")),
        floats(2, 3, 8, 8),
    )
    mix = partial(EinMix, "b t c -> b t d", weight_shape="c d", bias_shape="d", c=8, d=4)
    yield "EinMix", mix, floats(2, 5, 8)


def lightning():
    from lightning.pytorch.demos import LightningTransformer, Transformer
    from lightning.pytorch.demos.boring_classes import BoringModel

    yield "BoringModel", BoringModel, floats(3, 32)
    small = {"vocab_size": 64, "ninp": 32, "nhead": 2, "nhid": 32, "nlayers": 1}
    example = together(tokens(2, 8), tokens(2, 8))
    yield "Transformer", partial(Transformer, **small), example
    yield "LightningTransformer", partial(LightningTransformer, 64), example


def torchrl():
    from torchrl import modules

    small = {"in_features": 6, "out_features": 3, "num_cells": [8]}
    yield "MLP", partial(modules.MLP, **small), floats(4, 6)
    yield "lazy MLP", partial(modules.MLP, out_features=3, num_cells=[8]), floats(4, 6)
    yield "ConvNet", partial(modules.ConvNet, in_features=3, num_cells=[4, 8]), floats(2, 3, 32, 32)
    yield "NoisyLinear", partial(modules.NoisyLinear, 6, 3), floats(4, 6)
    yield "DdpgMlpActor", partial(modules.DdpgMlpActor, 3), floats(4, 6)


def reformer_pytorch():
    from reformer_pytorch import LSHSelfAttention, ReformerLM

    small = {"dim": 32, "heads": 2, "bucket_size": 4, "n_hashes": 2}
    yield "LSHSelfAttention", partial(LSHSelfAttention, **small), floats(2, 16, 32)
    language = {"num_tokens": 64, "depth": 2, "max_seq_len": 16, "axial_position_shape": (4, 4)}
    yield "ReformerLM", partial(ReformerLM, **small, **language), tokens(2, 16)


def performer_pytorch():
    from performer_pytorch import FastAttention, PerformerLM

    heads = together(*[floats(2, 2, 8, 16)] * 3)
    yield "FastAttention", partial(FastAttention, dim_heads=16, nb_features=8), heads
    small = {"dim": 32, "depth": 1, "heads": 2, "dim_head": 16, "max_seq_len": 16}
    yield "PerformerLM", partial(PerformerLM, num_tokens=64, **small), tokens(2, 16)


def vector_quantize_pytorch():
    import vector_quantize_pytorch as vq

    yield "VectorQuantize", partial(vq.VectorQuantize, dim=8, codebook_size=16), floats(2, 6, 8)
    learned = partial(vq.VectorQuantize, dim=8, codebook_size=16, learnable_codebook=True, ema_update=False)
    yield "VectorQuantize, learned", learned, floats(2, 6, 8)
    yield "ResidualVQ", partial(vq.ResidualVQ, dim=8, codebook_size=16, num_quantizers=2), floats(2, 6, 8)
    yield "FSQ", partial(vq.FSQ, levels=[4, 3, 3]), floats(2, 6, 3)
    yield "LFQ", partial(vq.LFQ, codebook_size=16, dim=4), floats(2, 6, 4)
    yield "SimVQ", partial(vq.SimVQ, dim=8, codebook_size=16), floats(2, 6, 8)


def rotary_embedding_torch():
    from rotary_embedding_torch import RotaryEmbedding

    yield "RotaryEmbedding", lambda: Rotated(RotaryEmbedding(dim=8)), floats(2, 2, 6, 16)


def local_attention():
    from local_attention import LocalAttention, LocalTransformer

    heads = together(*[floats(2, 2, 16, 8)] * 3)
    yield "LocalAttention", partial(LocalAttention, dim=8, window_size=4, causal=True), heads
    small = {
        "dim": 32,
        "depth": 2,
        "max_seq_len": 16,
        "local_attn_window_size": 4,
        "heads": 2,
        "dim_head": 16,
    }
    yield "LocalTransformer", partial(LocalTransformer, num_tokens=64, causal=True, **small), tokens(2, 16)


def pytorch_tabnet():
    from pytorch_tabnet import tab_network

    groups = partial(torch.eye, 6)
    small = {"n_d": 4, "n_a": 4, "n_steps": 2}
    yield "TabNet", lambda: tab_network.TabNet(6, 2, group_attention_matrix=groups(), **small), floats(8, 6)
    yield (
        "TabNetEncoder",
        lambda: tab_network.TabNetEncoder(6, 2, group_attention_matrix=groups(), **small),
        floats(8, 6),
    )


def pytorch_metric_learning():
    from pytorch_metric_learning import losses

    example = together(floats(8, 6), lambda: torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]))
    for name in ("TripletMarginLoss", "NTXentLoss", "ContrastiveLoss"):
        yield name, getattr(losses, name), example
    for name in ("ArcFaceLoss", "ProxyAnchorLoss", "CosFaceLoss"):
        yield name, partial(getattr(losses, name), num_classes=4, embedding_size=6), example


def nflows():
    from nflows.transforms import LULinear, MaskedAffineAutoregressiveTransform, RandomPermutation

    yield "MaskedAffineAutoregressive", partial(MaskedAffineAutoregressiveTransform, 6, 8), floats(4, 6)
    yield "LULinear", partial(LULinear, 6), floats(4, 6)
    yield "RandomPermutation", partial(RandomPermutation, 6), floats(4, 6)


def normflows():
    import normflows

    def flow():
        return normflows.flows.MaskedAffineAutoregressive(4, 8, num_blocks=1)

    yield "MaskedAffineAutoregressive", flow, floats(4, 4)
    yield "ActNorm", partial(normflows.flows.ActNorm, 4), floats(8, 4)


def zuko():
    import zuko

    yield "MAF", partial(zuko.nn.MaskedMLP, torch.ones(3, 4) > 0, hidden_features=[8]), floats(5, 4)
    yield "MLP", partial(zuko.nn.MLP, 4, 3, hidden_features=[8]), floats(5, 4)
    yield "MonotonicMLP", partial(zuko.nn.MonotonicMLP, 4, 3, hidden_features=[8]), floats(5, 4)


def ncps():
    from ncps.torch import LTC, CfC
    from ncps.wirings import AutoNCP

    yield "CfC", partial(CfC, 6, 8), floats(3, 5, 6)
    yield "wired CfC", lambda: CfC(6, AutoNCP(10, 3)), floats(3, 5, 6)
    yield "LTC", partial(LTC, 6, 8), floats(3, 5, 6)


def torchdiffeq():
    from torchdiffeq import odeint, odeint_adjoint

    yield "odeint", partial(Flow, odeint), floats(3, 4)
    yield "odeint_adjoint", partial(Flow, odeint_adjoint), floats(3, 4)


def lightly():
    from lightly import loss
    from lightly.models.modules import heads

    views = together(floats(6, 8), floats(6, 8))
    yield "SimCLRProjectionHead", partial(heads.SimCLRProjectionHead, 8, 8, 4), floats(6, 8)
    yield "DINOProjectionHead", partial(heads.DINOProjectionHead, 8, 8, 4, 6), floats(6, 8)
    yield "NTXentLoss", loss.NTXentLoss, views
    yield "NTXentLoss with memory", partial(loss.NTXentLoss, memory_bank_size=(16, 8)), views
    yield "BarlowTwinsLoss", loss.BarlowTwinsLoss, views


def efficientnet_pytorch():
    from efficientnet_pytorch import EfficientNet

    yield "b0", partial(EfficientNet.from_name, "efficientnet-b0", num_classes=4), floats(2, 3, 64, 64)


def denoising_diffusion_pytorch():
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet

    small = {"dim": 8, "dim_mults": (1, 2), "attn_dim_head": 8, "attn_heads": 2}
    yield "Unet", partial(Unet, **small), together(floats(2, 3, 16, 16), tokens(2, below=10))
    sizes = {"image_size": 16, "timesteps": 10}
    yield (
        "GaussianDiffusion",
        lambda: GaussianDiffusion(Unet(**small), **sizes),
        partial(torch.rand, 2, 3, 16, 16),
    )


def tab_transformer_pytorch():
    from tab_transformer_pytorch import FTTransformer, TabTransformer

    small = {"categories": (4, 5), "num_continuous": 3, "dim": 16, "dim_out": 1, "depth": 1, "heads": 2}
    example = together(tokens(3, 2, below=4), floats(3, 3))
    yield "TabTransformer", partial(TabTransformer, **small, mlp_act=nn.ReLU()), example
    yield "FTTransformer", partial(FTTransformer, **small), example


def rtdl_num_embeddings():
    import rtdl_num_embeddings as rtdl

    yield "LinearEmbeddings", partial(rtdl.LinearEmbeddings, 4, 6), floats(3, 4)
    yield "LinearReLUEmbeddings", partial(rtdl.LinearReLUEmbeddings, 4, 6), floats(3, 4)
    yield "PeriodicEmbeddings", partial(rtdl.PeriodicEmbeddings, 4, 6, lite=False), floats(3, 4)
    bins = [torch.tensor([-1.0, 0.0, 1.0])] * 4
    piecewise = partial(rtdl.PiecewiseLinearEmbeddings, bins, 6, activation=False, version="B")
    yield "PiecewiseLinearEmbeddings", piecewise, floats(3, 4)


def rtdl_revisiting_models():
    import rtdl_revisiting_models as rtdl

    mlp = {"d_in": 4, "d_out": 1, "n_blocks": 2, "d_block": 8, "dropout": 0.1}
    yield "MLP", partial(rtdl.MLP, **mlp), floats(3, 4)
    sizes = {"d_block": 8, "d_hidden": 8, "d_hidden_multiplier": None, "dropout1": 0.1, "dropout2": 0.1}
    yield "ResNet", partial(rtdl.ResNet, d_in=4, d_out=1, n_blocks=2, **sizes), floats(3, 4)


def conformer():
    from conformer import Conformer, ConformerBlock

    small = {"dim": 16, "dim_head": 8, "heads": 2}
    yield "ConformerBlock", partial(ConformerBlock, **small), floats(2, 12, 16)
    yield "Conformer", partial(Conformer, depth=2, **small), floats(2, 12, 16)


def torchcrf():
    from torchcrf import CRF

    yield "CRF", partial(CRF, 4, batch_first=True), together(floats(3, 5, 4), tokens(3, 5, below=4))


def siren_pytorch():
    from siren_pytorch import SirenNet

    small = {"dim_in": 2, "dim_hidden": 16, "dim_out": 3, "num_layers": 2}
    yield "SirenNet", partial(SirenNet, **small), floats(5, 2)


def nystrom_attention():
    from nystrom_attention import Nystromformer

    small = {"dim": 32, "dim_head": 16, "heads": 2, "depth": 2, "num_landmarks": 4}
    yield "Nystromformer", partial(Nystromformer, **small), floats(2, 16, 32)


def compressai():
    from compressai import models

    yield "FactorizedPrior", partial(models.FactorizedPrior, 8, 12), partial(torch.rand, 2, 3, 64, 64)
    yield "ScaleHyperprior", partial(models.ScaleHyperprior, 8, 12), partial(torch.rand, 2, 3, 64, 64)


def linformer():
    from linformer import Linformer, LinformerLM

    small = {"dim": 32, "seq_len": 16, "depth": 2, "heads": 2, "k": 4}
    yield "Linformer", partial(Linformer, **small), floats(2, 16, 32)
    yield "LinformerLM", partial(LinformerLM, 64, **small), tokens(2, 16)


def axial_positional_embedding():
    from axial_positional_embedding import AxialPositionalEmbedding

    yield "AxialPositionalEmbedding", partial(AxialPositionalEmbedding, 16, (4, 4)), floats(2, 16, 16)


def segment_anything():
    from segment_anything.modeling import ImageEncoderViT, PromptEncoder, TwoWayTransformer

    small = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "out_chans": 8}
    windows = {"window_size": 2, "global_attn_indexes": (1,), "use_rel_pos": True}
    yield "ImageEncoderViT", partial(ImageEncoderViT, **small, **windows), floats(2, 3, 32, 32)
    two = partial(TwoWayTransformer, depth=1, embedding_dim=16, num_heads=2, mlp_dim=16)
    yield "TwoWayTransformer", two, together(floats(2, 16, 4, 4), floats(2, 16, 4, 4), floats(2, 5, 16))
    prompt = partial(PromptEncoder, 16, (4, 4), (32, 32), 8)
    points = together(partial(torch.rand, 2, 3, 2), partial(torch.ones, 2, 3, dtype=torch.int64))
    yield "PromptEncoder", prompt, lambda: ((points()[0], None, None), {})


def sentence_transformers():
    from sentence_transformers.models import Dense

    yield "Dense", partial(Dense, 8, 4), lambda: ({"sentence_embedding": torch.randn(3, 8)},)


#: What yields the models of a library, by the name under which it is imported.
LIBRARIES = {
    function.__name__: function
    for function in list(vars().values())
    if inspect.isgeneratorfunction(function) and function is not named
}
