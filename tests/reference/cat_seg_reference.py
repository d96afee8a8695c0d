# SPDX-License-Identifier: Apache-2.0
"""CAT-Seg (CVPR 2024) and CLIP in plain PyTorch, written for the tests from the description of the network.

The modules carry the official parameter names, so `state_dict()` has the layout of the authors' checkpoints. Run as a
program it compares itself with every inference case of the acceptance oracle:

    python3 tests/reference/cat_seg_reference.py ORACLE_DIRECTORY [--autocast]

With --autocast it runs as PyTorch does in bf16 and prints on how many pixels the labels are still the authors'.
"""
import json
import math
import pathlib
import sys
from collections import OrderedDict

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import safetensors_format

CLIP_MEAN = (122.7709383, 116.7460125, 104.09373615)
CLIP_STD = (68.5005327, 66.6321579, 70.3231630)


def ignore(name, value):
    """The default tap: intermediate tensors are not looked at."""


class QuickGELU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class SelfAttention(nn.Module):
    """Multi-head self-attention with the q, k and v weights apart (CAT-Seg) or joined (CLIP); sequence first."""

    def __init__(self, width, heads, split):
        super().__init__()
        self.width, self.heads, self.split = width, heads, split
        if split:
            self.q_proj_weight = nn.Parameter(torch.empty(width, width))
            self.k_proj_weight = nn.Parameter(torch.empty(width, width))
            self.v_proj_weight = nn.Parameter(torch.empty(width, width))
        else:
            self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x, mask):
        weights = dict(use_separate_proj_weight=True, q_proj_weight=self.q_proj_weight, k_proj_weight=self.k_proj_weight,
                       v_proj_weight=self.v_proj_weight) if self.split else {}
        return F.multi_head_attention_forward(
            x, x, x, self.width, self.heads, None if self.split else self.in_proj_weight, self.in_proj_bias, None, None,
            False, 0.0, self.out_proj.weight, self.out_proj.bias, training=False, need_weights=False, attn_mask=mask,
            **weights)[0]

    def values(self, x):
        """The value path alone: every token attends to itself."""
        weight = self.v_proj_weight if self.split else self.in_proj_weight[2 * self.width:]
        return self.out_proj(F.linear(x, weight, self.in_proj_bias[2 * self.width:]))


class ResidualBlock(nn.Module):
    def __init__(self, width, heads, split):
        super().__init__()
        self.attn = SelfAttention(width, heads, split)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(OrderedDict(c_fc=nn.Linear(width, 4 * width), gelu=QuickGELU(),
                                             c_proj=nn.Linear(4 * width, width)))
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x, mask=None, dense=False):
        if dense:  # every token keeps its own value; the residual is the class token's
            x = self.attn.values(self.ln_1(x)) + x[:1]
        else:
            x = x + self.attn(self.ln_1(x), mask)
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    def __init__(self, width, layers, heads, split):
        super().__init__()
        self.resblocks = nn.ModuleList(ResidualBlock(width, heads, split) for _ in range(layers))


class VisionTransformer(nn.Module):
    def __init__(self, g, split):
        super().__init__()
        width = g["image_width"]
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(g["pos_grid"] ** 2 + 1, width))
        self.proj = nn.Parameter(torch.empty(width, g["embed"]))
        self.conv1 = nn.Conv2d(3, width, g["patch"], g["patch"], bias=False)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(width, g["image_layers"], g["image_heads"], split)
        self.ln_post = nn.LayerNorm(width)

    def positions(self, height, width):
        table = self.positional_embedding
        side = math.isqrt(table.shape[0] - 1)
        if side == height == width:
            return table
        patches = table[1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
        patches = F.interpolate(patches, (height, width), mode="bicubic", align_corners=False)
        return torch.cat([table[:1], patches.flatten(2)[0].t()])

    def forward(self, x, dense=False, hooked=(), tap=ignore):
        """[B, 3, H, W] -> tokens [B, 1 + L, embed] and the outputs of the hooked blocks [1 + L, B, width]."""
        x = self.conv1(x)
        tap("clip.patch_embed", x)
        positions = self.positions(*x.shape[-2:])
        tap("clip.pos_embed_resized", positions)
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.to(x.dtype).expand(x.shape[0], 1, -1), x], 1) + positions
        x = self.ln_pre(x)
        tap("clip.ln_pre", x)
        x, hooks, last = x.transpose(0, 1), [], len(self.transformer.resblocks) - 1
        for i, block in enumerate(self.transformer.resblocks):
            x = block(x, dense=dense and i == last)
            tap(f"clip.block{i}_dense" if dense and i == last else f"clip.block{i}", x)
            if i in hooked:
                hooks.append(x)
        x = self.ln_post(x.transpose(0, 1)) @ self.proj
        tap("clip.tokens", x)
        return x, hooks


class Clip(nn.Module):
    def __init__(self, g, split=False):
        super().__init__()
        width = g["text_width"]
        self.positional_embedding = nn.Parameter(torch.empty(g["context"], width))
        self.text_projection = nn.Parameter(torch.empty(width, g["embed"]))
        self.logit_scale = nn.Parameter(torch.empty([]))
        self.visual = VisionTransformer(g, split)
        self.transformer = Transformer(width, g["text_layers"], g["text_heads"], split)
        self.token_embedding = nn.Embedding(g["vocabulary"], width)
        self.ln_final = nn.LayerNorm(width)

    def encode_text(self, tokens, tap=ignore):
        """[T, context] ids -> [T, embed], not normalised."""
        x = self.token_embedding(tokens)
        tap("text.token_embedding", x)
        x = (x + self.positional_embedding[:tokens.shape[1]]).transpose(0, 1)
        mask = torch.full((len(x), len(x)), -math.inf).triu(1)
        for i, block in enumerate(self.transformer.resblocks):
            x = block(x, mask)
            tap(f"text.block{i}", x)
        x = self.ln_final(x.transpose(0, 1))
        tap("text.ln_final", x)
        x = x[torch.arange(len(x)), tokens.argmax(1)] @ self.text_projection
        tap("text.raw", x)
        return x

    def encode_image(self, x):
        """[B, 3, H, W] -> [B, embed], not normalised: the class token, as in zero-shot classification."""
        return self.visual(x)[0][:, 0]

    def forward(self, image, tokens):
        image, text = (x / x.norm(dim=-1, keepdim=True) for x in (self.encode_image(image), self.encode_text(tokens)))
        return self.logit_scale.exp() * image @ text.t()


def cut_windows(x, size):
    """[B, H, W, C] -> [B * windows, size * size, C], windows and positions row-major."""
    b, h, w, c = x.shape
    x = x.view(b, h // size, size, w // size, size, c).transpose(2, 3)
    return x.reshape(-1, size * size, c)


def join_windows(x, size, h, w):
    x = x.view(-1, h // size, w // size, size, size, x.shape[-1]).transpose(2, 3)
    return x.reshape(-1, h, w, x.shape[-1])


def shift_mask(grid, size, shift):
    """[windows, size^2, size^2]: -100 between positions that are neighbours only because of the roll."""
    line = torch.zeros(grid)
    line[grid - size:grid - shift] = 1
    line[grid - shift:] = 2
    regions = cut_windows((3 * line[:, None] + line)[None, :, :, None], size)[..., 0]
    return torch.where(regions[:, :, None] == regions[:, None], 0.0, -100.0)


class WindowAttention(nn.Module):
    def __init__(self, width, guidance, heads):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width + guidance, width)
        self.k = nn.Linear(width + guidance, width)
        self.v = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)

    def forward(self, x, width, mask):
        """x [N, L, width + guidance], N = images x windows; the values see the first `width` channels only."""
        n, length, _ = x.shape

        def heads(y):
            return y.view(n, length, self.heads, -1).transpose(1, 2)
        q, k, v = heads(self.q(x)), heads(self.k(x)), heads(self.v(x[..., :width]))
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        if mask is not None:
            scores = (scores.view(-1, len(mask), *scores.shape[1:]) + mask[:, None]).view_as(scores)
        x = (scores.softmax(-1) @ v).transpose(1, 2).reshape(n, length, width)
        return self.proj(x)


class SwinBlock(nn.Module):
    def __init__(self, width, guidance, heads, grid, window, shift):
        super().__init__()
        self.grid, self.window, self.shift = grid, window, shift
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, guidance, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(OrderedDict(fc1=nn.Linear(width, 4 * width), act=nn.GELU(),
                                             fc2=nn.Linear(4 * width, width)))
        self.register_buffer("attn_mask", shift_mask(grid, window, shift) if shift else None)

    def forward(self, x, guidance):
        """x [N, L, C], guidance [N, L, A]."""
        n, length, width = x.shape
        z = torch.cat([self.norm1(x), guidance], -1).view(n, self.grid, self.grid, -1)
        if self.shift:
            z = z.roll((-self.shift, -self.shift), (1, 2))
        z = self.attn(cut_windows(z, self.window), width, self.attn_mask)
        z = join_windows(z, self.window, self.grid, self.grid)
        if self.shift:
            z = z.roll((self.shift, self.shift), (1, 2))
        x = x + z.reshape(n, length, width)
        return x + self.mlp(self.norm2(x))


class SpatialAggregation(nn.Module):
    def __init__(self, g):
        super().__init__()
        sizes = (g["hidden"], g["appearance_proj"], g["heads"], g["token_grid"], g["window"])
        self.block_1 = SwinBlock(*sizes, 0)
        self.block_2 = SwinBlock(*sizes, g["shift"])
        self.guidance_norm = nn.LayerNorm(g["appearance_proj"])

    def forward(self, x, guidance, tap=ignore):
        """x [B, C, T, H, W], guidance [B, A, H, W] -> [B, C, T, H, W]."""
        b, c, t, h, w = x.shape
        norm = self.guidance_norm(guidance.flatten(2).transpose(1, 2))
        tap("guidance_norm", norm)
        norm = norm.repeat_interleave(t, 0)
        x = x.permute(0, 2, 3, 4, 1).reshape(b * t, h * w, c)
        x = self.block_1(x, norm)
        tap("swin1", x)
        x = self.block_2(x, norm)
        tap("swin2", x)
        return x.view(b, t, h, w, c).permute(0, 4, 1, 2, 3)


class ClassAttention(nn.Module):
    def __init__(self, width, guidance, heads, kind):
        super().__init__()
        self.heads, self.kind = heads, kind
        self.q = nn.Linear(width + guidance, width)
        self.k = nn.Linear(width + guidance, width)
        self.v = nn.Linear(width, width)

    def forward(self, x, guidance):
        """x [N, T, C], guidance [N, T, G]: attention over the classes."""
        both = torch.cat([x, guidance], -1)
        q, k, v = (y.view(*y.shape[:2], self.heads, -1) for y in (self.q(both), self.k(both), self.v(x)))
        if self.kind == "linear":
            q, k, count = F.elu(q) + 1, F.elu(k) + 1, v.shape[1]
            summary = torch.einsum("nshd,nshv->nhdv", k, v / count)
            scale = 1 / (torch.einsum("nlhd,nhd->nlh", q, k.sum(1)) + 1e-6)
            y = torch.einsum("nlhd,nhdv,nlh->nlhv", q, summary, scale) * count
        else:
            scores = torch.einsum("nlhd,nshd->nlsh", q, k) / math.sqrt(q.shape[-1])
            y = torch.einsum("nlsh,nshd->nlhd", scores.softmax(2), v)
        return y.reshape_as(x)


class ClassAggregation(nn.Module):
    def __init__(self, g, pooling):
        super().__init__()
        width, guidance = g["hidden"], g["text_proj"]
        self.pooling, self.pad_len = pooling, g["pad_len"]
        self.padding_tokens = nn.Parameter(torch.empty(1, 1, width))
        self.padding_guidance = nn.Parameter(torch.empty(1, 1, guidance))
        self.attention = ClassAttention(width, guidance, g["heads"], g["attention"])
        self.MLP = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x, guidance, tap=ignore):
        """x [B, C, T, H, W], guidance [B, T, G] -> [B, C, T, H, W]."""
        b, c, t, h, w = x.shape
        y = x.transpose(1, 2).reshape(b * t, c, h, w)
        y = F.avg_pool2d(y, self.pooling)
        ph, pw = y.shape[-2:]
        y = y.view(b, t, c, ph, pw)
        tap("pooled", y.transpose(1, 2))
        y = y.permute(0, 3, 4, 1, 2).reshape(b * ph * pw, t, c)
        missing = max(0, self.pad_len - t)
        if missing:
            y = torch.cat([y, self.padding_tokens.expand(len(y), missing, -1)], 1)
            guidance = torch.cat([guidance, self.padding_guidance.expand(b, missing, -1)], 1)
        guidance = guidance.repeat_interleave(ph * pw, 0)
        y = y + self.attention(self.norm1(y), guidance)
        y = y + self.MLP(self.norm2(y))
        y = y[:, :t].reshape(b, ph, pw, t, c).permute(0, 3, 4, 1, 2).reshape(b * t, c, ph, pw)
        y = F.interpolate(y, (h, w), mode="bilinear", align_corners=True)
        return x + y.view(b, t, c, h, w).transpose(1, 2)


class AggregationLayer(nn.Module):
    def __init__(self, g, pooling):
        super().__init__()
        self.swin_block = SpatialAggregation(g)
        self.attention = ClassAggregation(g, pooling)


class DoubleConvolution(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        groups = outputs // 16
        self.double_conv = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.GroupNorm(groups, outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.GroupNorm(groups, outputs), nn.ReLU())


class Upsampling(nn.Module):
    def __init__(self, inputs, outputs, guidance):
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, inputs - guidance, 2, 2)
        self.conv = DoubleConvolution(inputs, outputs)

    def forward(self, x, guidance, tap=ignore):
        """x [B * T, C, H, W], guidance [B, G, 2H, 2W]."""
        x = self.up(x)
        tap("up", x)
        x = self.conv.double_conv(torch.cat([x, guidance.repeat_interleave(len(x) // len(guidance), 0)], 1))
        tap("out", x)
        return x


class Aggregator(nn.Module):
    def __init__(self, g):
        super().__init__()
        self.pad_len, hidden, embed = g["pad_len"], g["hidden"], g["embed"]
        self.layers = nn.ModuleList(AggregationLayer(g, pooling) for pooling in g["pooling"])
        self.conv1 = nn.Conv2d(g["prompts"], hidden, 7, padding=3)
        self.guidance_projection = nn.Sequential(nn.Conv2d(embed, g["appearance_proj"], 3, padding=1), nn.ReLU())
        self.text_guidance_projection = nn.Sequential(nn.Linear(embed, g["text_proj"]), nn.ReLU())
        self.decoder_guidance_projection = nn.ModuleList(
            nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.ReLU())
            for i, o in zip(g["guidance_widths"], g["decoder_proj"]))
        self.decoder1 = Upsampling(hidden, g["decoder"][0], g["decoder_proj"][0])
        self.decoder2 = Upsampling(g["decoder"][0], g["decoder"][1], g["decoder_proj"][1])
        self.head = nn.Conv2d(g["decoder"][1], 1, 3, padding=1)

    def forward(self, features, text, guides, tap=ignore):
        """features [B, E, H, W], text [B, T, P, E], guides: two maps per image -> logits [B, T, 4H, 4W]."""
        classes = text.shape[1]
        unit = F.normalize(features, dim=1)

        def cosines(text):
            return torch.einsum("bchw,btpc->bpthw", unit, F.normalize(text, dim=-1))
        corr = cosines(text)
        tap("agg.corr", corr)
        kept = None
        if classes > self.pad_len:
            best = corr.permute(0, 2, 1, 3, 4).flatten(2).max(-1)[0]
            kept = best.topk(self.pad_len, sorted=False)[1].sort()[0]
            tap("agg.classes", kept)
            text = text.gather(1, kept[:, :, None, None].expand(-1, -1, *text.shape[2:]))
            corr = cosines(text)
        b, p, t, h, w = corr.shape
        x = self.conv1(corr.transpose(1, 2).reshape(b * t, p, h, w)).view(b, t, -1, h, w).transpose(1, 2)
        tap("agg.corr_embed", x)
        appearance = self.guidance_projection(features)
        tap("agg.guidance", appearance)
        decoder = [projection(guide) for projection, guide in zip(self.decoder_guidance_projection, guides)]
        for i, guide in enumerate(decoder):
            tap(f"agg.dec_guidance{i}", guide)
        mean = text.mean(2)
        mean = mean / mean.norm(dim=-1, keepdim=True)
        tap("agg.text_mean", mean)
        words = self.text_guidance_projection(mean)
        tap("agg.text_guidance", words)
        for i, layer in enumerate(self.layers):
            def layer_tap(name, value, i=i):
                tap(f"agg.layer{i}.{name}", value)
            x = layer.swin_block(x, appearance, layer_tap)
            layer_tap("spatial", x)
            x = layer.attention(x, words, layer_tap)
            layer_tap("class", x)
        x = x.transpose(1, 2).reshape(b * t, -1, h, w)
        for i, stage in enumerate((self.decoder1, self.decoder2)):
            x = stage(x, decoder[i], lambda name, value, i=i: tap(f"dec.{name}{i + 1}", value))
        logits = self.head(x).view(b, t, 4 * h, 4 * w)
        if kept is not None:
            full = torch.full((b, classes, 4 * h, 4 * w), -100.0, dtype=logits.dtype)
            logits = full.scatter(1, kept[:, :, None, None].expand_as(logits), logits)
        tap("logits", logits)
        return logits


class Holder(nn.Module):
    """A namespace of the official module tree."""

    def __init__(self, **children):
        super().__init__()
        for name, child in children.items():
            self.add_module(name, child)


class CatSeg(nn.Module):
    """The network for one geometry: the fields of a case of the oracle (see `flatten_geometry`)."""

    def __init__(self, g):
        super().__init__()
        self.g = g
        self.sem_seg_head = Holder(predictor=Holder(clip_model=Clip(g, split=True), transformer=Aggregator(g)))
        self.upsample1 = nn.ConvTranspose2d(g["image_width"], g["guidance_widths"][0], 2, 2)
        self.upsample2 = nn.ConvTranspose2d(g["image_width"], g["guidance_widths"][1], 4, 4)
        self.mean = torch.tensor(CLIP_MEAN).view(3, 1, 1)
        self.std = torch.tensor(CLIP_STD).view(3, 1, 1)

    @property
    def clip(self):
        return self.sem_seg_head.predictor.clip_model

    @property
    def aggregator(self):
        return self.sem_seg_head.predictor.transformer

    def load(self, tensors):
        """Loads official tensors by name; the attention masks follow from the geometry and are not read."""
        own = self.state_dict()
        masks = [k for k in own if k.endswith("attn_mask")]
        state = {k: torch.from_numpy(np.array(v)) for k, v in tensors.items() if not k.endswith("attn_mask")}
        result = self.load_state_dict(state, strict=False)
        assert result.missing_keys == masks and not result.unexpected_keys, result
        return self.eval()

    def text_features(self, tokens, tap=ignore):
        """ids [T, context] -> unit vectors [T, 1, E]."""
        text = self.clip.encode_text(tokens, tap)
        return (text / text.norm(dim=-1, keepdim=True))[:, None]

    def logits(self, crops, text, tap=ignore):
        """Normalised crops [B, 3, R, R] at the resolution of the image encoder, text [T, P, E]."""
        tap("clip.input", crops)
        tokens, hooks = self.clip.visual(crops, True, self.g["hooked_blocks"], tap)
        grid = self.g["token_grid"]

        def maps(x):
            return x.permute(0, 2, 1).reshape(len(x), -1, grid, grid)
        hooks = [maps(h[1:].transpose(0, 1)) for h in hooks]
        guides = [self.upsample1(hooks[0]), self.upsample2(hooks[1])]
        for i in range(2):
            tap(f"guide.hook{i}", hooks[i])
            tap(f"guide.res{4 + i}", guides[i])
        text = text.expand(len(crops), *text.shape)
        tap("text.features", text)
        return self.aggregator(maps(tokens[:, 1:]), text, guides, tap)

    def encoder_input(self, x):
        size = (self.g["input_resolution"],) * 2
        return F.interpolate(x, size, mode="bilinear", align_corners=False)

    def whole(self, image, text, height, width, tap=ignore):
        """image [3, H, W] in 0..255 -> probabilities [T, height, width]."""
        x = (image - self.mean) / self.std
        d = self.g["size_divisibility"]
        x = F.pad(x, (0, -x.shape[2] % d, 0, -x.shape[1] % d))
        out = self.logits(self.encoder_input(x[None]), text, tap).sigmoid()[0]
        out = out[:, :image.shape[1], :image.shape[2]]
        tap("out.before_postprocess", out)
        return F.interpolate(out[None], (height, width), mode="bilinear", align_corners=False)[0]

    def sliding(self, image, text, height, width, kernel=384, overlap=0.333, out_res=(640, 640), tap=ignore):
        """As `whole`, from overlapping windows and one global view."""
        stride = int(kernel * (1 - overlap))

        def resize(x, size):
            return F.interpolate(x, size, mode="bilinear", align_corners=False)
        canvas = resize(image[None], out_res)
        corners = [(y, x) for y in range(0, out_res[0] - kernel + 1, stride)
                   for x in range(0, out_res[1] - kernel + 1, stride)]
        crops = [canvas[:, :, y:y + kernel, x:x + kernel] for y, x in corners]
        crops = torch.cat(crops + [resize(image[None], (kernel, kernel))])
        crops = self.encoder_input((crops - self.mean) / self.std)
        out = resize(self.logits(crops, text, tap), (kernel, kernel)).sigmoid()
        total = torch.zeros(out.shape[1], *out_res)
        count = torch.zeros(out_res)
        for (y, x), window in zip(corners, out):
            total[:, y:y + kernel, x:x + kernel] += window
            count[y:y + kernel, x:x + kernel] += 1
        out = (total / count + resize(out[-1:], out_res)[0]) / 2
        tap("out.before_postprocess", out)
        return resize(out[None], (height, width))[0]


def flatten_geometry(case):
    """The fields of a case (oracle JSON) as one dictionary."""
    g = {**case, **case["clip"], "prompts": len(case.get("templates") or [None])}
    g.setdefault("vocabulary", 514 + g.get("bpe_merges", 0))
    return g


def shortest_edge(image, short, longest):
    """u8 [H, W, 3] -> the resize before evaluation, Pillow's antialiased bilinear filter."""
    from PIL import Image
    h, w = image.shape[:2]
    scale = short / min(h, w)
    h, w = (short, scale * w) if h < w else (scale * h, short)
    if max(h, w) > longest:
        h, w = h * longest / max(h, w), w * longest / max(h, w)
    return np.asarray(Image.fromarray(image).resize((int(w + 0.5), int(h + 0.5)), Image.BILINEAR))


def check(oracle, autocast=False):
    data = oracle / "data"
    cases = json.loads((pathlib.Path(__file__).parents[1] / "data/oracle/cases.json").read_text("utf-8"))
    ids = safetensors_format.read(pathlib.Path(__file__).parents[1] / "data/oracle/cases.safetensors")
    worst, count, equal = 0, 0, 0
    for path in sorted((data / "infer").glob("*.json")):
        case = json.loads(path.read_text("utf-8"))
        name, g = case["name"], flatten_geometry(case)
        expected = safetensors_format.read(data / case["tensors"])
        weights = safetensors_format.read(data / case["weights"])
        g["vocabulary"] = weights["sem_seg_head.predictor.clip_model.token_embedding.weight"].shape[0]
        model = CatSeg(g).load(weights)
        got = {}
        image = np.load(data / case["image"])
        if case["shortest_edge"]:
            got["pre.resized"] = image = shortest_edge(image, *case["shortest_edge"])
        tokens = torch.from_numpy(np.array(ids[f"{name}/text.tokens"], np.int64))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            if "prompts" in cases[name]:
                each, groups = model.text_features(tokens)[:, 0], cases[name]["prompts"]
                text = torch.stack([torch.stack([
                    each[[i for i, p in enumerate(groups) if p[:2] == [c, t]]].mean(0)
                    for t in range(g["prompts"])]) for c in range(len(case["classes"]))])
                text = text / text.norm(dim=-1, keepdim=True)
            else:
                text = model.text_features(tokens, got.__setitem__)
            pixels = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)
            size = (case["height"] or image.shape[0], case["width"] or image.shape[1])
            if case["sliding"]:
                s = case["sliding"]
                if case["height"] is None:
                    size = tuple(s["out_res"])
                out = model.sliding(pixels, text, *size, s["kernel"], s["overlap"], s["out_res"], got.__setitem__)
            else:
                out = model.whole(pixels, text, *size, got.__setitem__)
        got.update({"text.tokens": tokens, "out.sem_seg": out, "out.argmax": out.argmax(0)})
        if autocast:
            if len(case["classes"]) <= 256:  # a pruned set of classes is a set of near-ties at its border
                expected = expected["out.argmax"]
                count, equal = count + expected.size, equal + int((np.asarray(got["out.argmax"]) == expected).sum())
            continue
        errors = {}
        for key, value in expected.items():
            if key == "out.postprocess_args":
                continue
            mine = np.asarray(got[key])
            assert mine.shape == value.shape, (name, key, mine.shape, value.shape)
            difference = np.abs(mine.astype(np.float64) - value.astype(np.float64))
            if value.dtype.kind == "f":
                errors[key] = difference.max() / max(np.abs(value).max(), 1e-30)
            elif difference.any():
                print(f"  {name}: {key} differs in {np.count_nonzero(difference)} of {difference.size} places")
        key = max(errors, key=errors.get)
        absolute = np.abs(np.asarray(got["out.sem_seg"]) - expected["out.sem_seg"]).max()
        same = (np.asarray(got["out.argmax"]) == expected["out.argmax"]).mean()
        print(f"{name:22s} {len(expected):3d} tensors, worst error / max {errors[key]:.1e} ({key}), "
              f"probabilities {absolute:.1e}, labels equal {100 * same:.3f} %")
        worst = max(worst, errors[key])
    if autocast:
        print(f"autocast to bf16: the authors' labels on {100 * equal / count:.2f} % of {count} pixels")
        return True
    print(f"worst of all {worst:.1e}")
    return worst < 1e-4


if __name__ == "__main__":
    sys.exit(0 if check(pathlib.Path(sys.argv[1]), "--autocast" in sys.argv[2:]) else 1)
