# SPDX-License-Identifier: Apache-2.0
"""Geometries, official parameter names and shapes, and values drawn from a seed (NumPy alone).

Every tensor is drawn on its own, PCG64([seed, crc32(official name)]), standard normal fp32 times a scale that depends on the
kind of parameter, so that activations keep a sensible size at any width and depth.
"""
import math
import re
import zlib

import numpy as np

CLIP = "sem_seg_head.predictor.clip_model."
AGGREGATOR = "sem_seg_head.predictor.transformer."


def clip_geometry(width, layers, patch, image, embed, text_width):
    return dict(image_width=width, image_layers=layers, image_heads=width // 64, patch=patch, pos_grid=image // patch,
                text_width=text_width, text_layers=12, text_heads=text_width // 64, context=77, embed=embed,
                vocabulary=49408, input_resolution=image)


def cat_seg_geometry(clip, hooked, resolution):
    return dict(clip, input_resolution=resolution, token_grid=24, hooked_blocks=hooked, guidance_widths=[256, 128],
                hidden=128, heads=4, pooling=[1, 1], window=12, shift=6, attention="linear", pad_len=256, text_proj=128,
                appearance_proj=128, decoder=[64, 32], decoder_proj=[32, 16], size_divisibility=32, prompts=1)


CLIP_MODELS = {
    "clip_vit_b32": clip_geometry(768, 12, 32, 224, 512, 512),
    "clip_vit_b16": clip_geometry(768, 12, 16, 224, 512, 512),
    "clip_vit_l14": clip_geometry(1024, 24, 14, 224, 768, 768),
    "clip_vit_l14_336": clip_geometry(1024, 24, 14, 336, 768, 768),
}
CAT_SEG_MODELS = {
    "vit_b16": cat_seg_geometry(CLIP_MODELS["clip_vit_b16"], [3, 7], 384),
    "vit_l14_336": cat_seg_geometry(CLIP_MODELS["clip_vit_l14_336"], [7, 15], 336),
}


def pair(name, *shape):
    return {f"{name}.weight": shape, f"{name}.bias": (shape[0],)}


def transformer_shapes(prefix, width, layers):
    shapes = {}
    for i in range(layers):
        block = f"{prefix}transformer.resblocks.{i}."
        shapes.update({f"{block}attn.{c}_proj_weight": (width, width) for c in "qkv"})
        shapes[block + "attn.in_proj_bias"] = (3 * width,)
        shapes.update({**pair(block + "attn.out_proj", width, width), **pair(block + "ln_1", width),
                       **pair(block + "mlp.c_fc", 4 * width, width), **pair(block + "mlp.c_proj", width, 4 * width),
                       **pair(block + "ln_2", width)})
    return shapes


def clip_shapes(g):
    """Names as in OpenAI's CLIP, except that q, k and v of the attention are apart, as CAT-Seg stores them."""
    width, text = g["image_width"], g["text_width"]
    return {
        "positional_embedding": (g["context"], text), "text_projection": (text, g["embed"]), "logit_scale": (),
        "visual.class_embedding": (width,), "visual.positional_embedding": (g["pos_grid"] ** 2 + 1, width),
        "visual.proj": (width, g["embed"]), "visual.conv1.weight": (width, 3, g["patch"], g["patch"]),
        **pair("visual.ln_pre", width), **transformer_shapes("visual.", width, g["image_layers"]),
        **pair("visual.ln_post", width), **transformer_shapes("", text, g["text_layers"]),
        "token_embedding.weight": (g["vocabulary"], text), **pair("ln_final", text)}


def aggregator_shapes(g):
    c, app, words, embed, window = g["hidden"], g["appearance_proj"], g["text_proj"], g["embed"], g["window"]
    (d1, d2), (p1, p2), (r1, r2) = g["decoder"], g["decoder_proj"], g["guidance_widths"]
    shapes = {}
    for i in range(len(g["pooling"])):
        for b in (1, 2):
            block = f"layers.{i}.swin_block.block_{b}."
            if b == 2 and g["shift"]:
                shapes[block + "attn_mask"] = ((g["token_grid"] // window) ** 2, window ** 2, window ** 2)
            shapes.update({**pair(block + "norm1", c), **pair(block + "attn.q", c, c + app),
                           **pair(block + "attn.k", c, c + app), **pair(block + "attn.v", c, c),
                           **pair(block + "attn.proj", c, c), **pair(block + "norm2", c),
                           **pair(block + "mlp.fc1", 4 * c, c), **pair(block + "mlp.fc2", c, 4 * c)})
        shapes.update(pair(f"layers.{i}.swin_block.guidance_norm", app))
        block = f"layers.{i}.attention."
        shapes.update({block + "padding_tokens": (1, 1, c), block + "padding_guidance": (1, 1, words),
                       **pair(block + "attention.q", c, c + words), **pair(block + "attention.k", c, c + words),
                       **pair(block + "attention.v", c, c), **pair(block + "MLP.0", 4 * c, c),
                       **pair(block + "MLP.2", c, 4 * c), **pair(block + "norm1", c), **pair(block + "norm2", c)})
    shapes.update({**pair("conv1", c, g["prompts"], 7, 7), **pair("guidance_projection.0", app, embed, 3, 3),
                   **pair("text_guidance_projection.0", words, embed),
                   **pair("decoder_guidance_projection.0.0", p1, r1, 3, 3),
                   **pair("decoder_guidance_projection.1.0", p2, r2, 3, 3)})
    for name, inputs, outputs, guide in (("decoder1.", c, d1, p1), ("decoder2.", d1, d2, p2)):
        conv = name + "conv.double_conv."
        shapes.update({name + "up.weight": (inputs, inputs - guide, 2, 2), name + "up.bias": (inputs - guide,),
                       conv + "0.weight": (outputs, inputs, 3, 3), **pair(conv + "1", outputs),
                       conv + "3.weight": (outputs, outputs, 3, 3), **pair(conv + "4", outputs)})
    shapes.update(pair("head", 1, d2, 3, 3))
    return shapes


def cat_seg_shapes(g):
    width, (r1, r2) = g["image_width"], g["guidance_widths"]
    return {**{CLIP + k: s for k, s in clip_shapes(g).items()},
            **{AGGREGATOR + k: s for k, s in aggregator_shapes(g).items()},
            "upsample1.weight": (width, r1, 2, 2), "upsample1.bias": (r1,),
            "upsample2.weight": (width, r2, 4, 4), "upsample2.bias": (r2,)}


def attention_mask(g):
    """-100 between positions of a shifted window that the roll has brought together."""
    grid, size, shift = g["token_grid"], g["window"], g["shift"]
    line = np.digitize(np.arange(grid), [grid - size, grid - shift])
    region = (3 * line[:, None] + line).reshape(grid // size, size, grid // size, size).swapaxes(1, 2)
    region = region.reshape(-1, size * size)
    return np.where(region[:, :, None] == region[:, None], 0, -100).astype(np.float32)


def scale_of(name, shape, g):
    fan = math.prod(shape[1:])
    if re.search(r"(attn|attention)\.[qk]\.weight$|(?<!text_)guidance_projection(\.\d)?\.0\.weight$"
                 r"|double_conv\.[03]\.weight$", name):
        return 1.4 / math.sqrt(fan)
    if re.search(r"attn\.[qk]_proj_weight$", name):
        return 1.3 / math.sqrt(fan)
    if re.search(r"(attn\.out_proj|mlp\.c_proj)\.weight$", name):
        return math.sqrt(2 / g["image_layers" if ".visual." in name else "text_layers"]) / math.sqrt(fan)
    if re.search(r"(text_projection|visual\.proj|\.up\.weight|upsample[12]\.weight)$", name):
        return 1 / math.sqrt(shape[0])
    special = {"transformer.conv1.weight": 4 / math.sqrt(fan), "transformer.head.weight": 3 / math.sqrt(fan),
               "visual.positional_embedding": 0.5, "positional_embedding": 0.15, "class_embedding": 0.5,
               "token_embedding.weight": 0.6, "padding_tokens": 0.7, "padding_guidance": 0.7}
    for ending, scale in special.items():
        if name.endswith(ending):
            return scale
    return 1 / math.sqrt(fan) if name.endswith("weight") else 0.1


def draw(name, shape, g, seed):
    """The tensor of an official CAT-Seg name."""
    if name.endswith("attn_mask"):
        return attention_mask(g)
    if name.endswith("logit_scale"):
        return np.array(math.log(1 / 0.07), np.float32)
    generator = np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode())]))
    values = generator.standard_normal(shape, dtype=np.float32)
    if re.search(r"(ln_\w+|norm\d?|guidance_norm|double_conv\.[14])\.weight$", name):
        return 1 + np.float32(0.2) * values
    return np.float32(scale_of(name, shape, g)) * values


def cat_seg_weights(g, seed):
    return {name: draw(name, shape, g, seed) for name, shape in cat_seg_shapes(g).items()}


def join_attention(tensors):
    """q, k and v weights become one `in_proj_weight`, as OpenAI's CLIP stores them."""
    joined = {}
    for name, value in tensors.items():
        if name.endswith("attn.q_proj_weight"):
            stem = name.removesuffix("q_proj_weight")
            joined[stem + "in_proj_weight"] = np.concatenate([tensors[f"{stem}{c}_proj_weight"] for c in "qkv"])
        elif not re.search(r"attn\.[kv]_proj_weight$", name):
            joined[name] = value
    return joined


def clip_weights(g, seed):
    """OpenAI's names; the same values as inside the CAT-Seg model of the same geometry and seed."""
    return join_attention({name: draw(CLIP + name, shape, g, seed) for name, shape in clip_shapes(g).items()})


def is_half(name):
    """Whether OpenAI's archives hold this tensor in fp16: convolution, linear and attention tensors and projections."""
    return bool(re.search(r"conv1\.weight|attn\.|mlp\.|visual\.proj$|text_projection$", name))
