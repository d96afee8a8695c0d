# SPDX-License-Identifier: Apache-2.0
"""Prints the check sums of tests/data_room/augmentation_test.cpp: CAT-Seg's training mapper with Pillow and PyTorch.

    python3 tests/reference/augmentation_reference.py

The colour conversions are compared with OpenCV, all colours, where cv2 is installed (4.8.1 on a machine with AVX2).
"""
import math
import zlib

import numpy as np
import torch
from PIL import Image

try:
    import cv2
except ImportError:
    cv2 = None

UNKNOWN = 65535


class Random:
    """The 64-bit Mersenne twister, and how numbers are drawn from it."""
    def __init__(self, seed):
        mask = 2 ** 64 - 1
        self.state = [seed]
        for i in range(1, 312):
            last = self.state[-1]
            self.state.append((6364136223846793005 * (last ^ last >> 62) + i) & mask)
        self.index = 312

    def bits(self):
        if self.index == 312:
            s = self.state
            for i in range(312):
                x = s[i] >> 31 << 31 | s[(i + 1) % 312] & 0x7FFFFFFF
                s[i] = s[(i + 156) % 312] ^ x >> 1 ^ (0xB5026F5AA96619E9 if x & 1 else 0)
            self.index = 0
        x = self.state[self.index]
        self.index += 1
        x ^= x >> 29 & 0x5555555555555555
        x ^= x << 17 & 0x71D67FFFEDA60000
        x ^= x << 37 & 0xFFF7EEE000000000
        return x ^ x >> 43

    def below(self, count):
        return (self.bits() >> 32) * count >> 32

    def unit(self):
        return (self.bits() >> 40) / 2 ** 24

    def between(self, low, high):
        return low + float(np.float32(high - low)) * self.unit()


def rgb_to_hsv(rgb):
    """OpenCV's formula with tables of 12 fractional bits; int arrays [..., 3]."""
    divisors = np.maximum(np.arange(256), 1)
    saturations, hues = np.rint((255 << 12) / divisors).astype(int), np.rint((180 << 12) / (6 * divisors)).astype(int)
    saturations[0] = hues[0] = 0
    r, g, b = np.moveaxis(rgb.astype(int), -1, 0)
    value = rgb.max(-1).astype(int)
    span = value - rgb.min(-1).astype(int)
    hue = np.where(value == r, g - b, np.where(value == g, b - r + 2 * span, r - g + 4 * span))
    hue = hue * hues[span] + 2048 >> 12
    return np.stack([hue + 180 * (hue < 0), span * saturations[value] + 2048 >> 12, value], -1).astype(np.uint8)


def hsv_to_rgb(hsv):
    """OpenCV's vector code with fused multiply-add, emulated in double."""
    f = np.float32
    h, s, v = np.moveaxis(hsv.astype(f), -1, 0)
    h, s, v = h * (f(6) / f(180)), s * (f(1) / f(255)), v * (f(1) / f(255))
    sector = h.astype(int)
    h = h - sector.astype(f)

    def dimmed(t):
        return v * (1 - s.astype(float) * t.astype(float)).astype(f)
    levels = np.stack([v, v * (f(1) - s), dimmed(h), dimmed(f(1) - h)])
    order = np.array([[0, 3, 1], [2, 0, 1], [1, 0, 3], [1, 2, 0], [3, 1, 0], [0, 1, 2]])[sector % 6]
    rgb = np.take_along_axis(levels, np.moveaxis(order, -1, 0), 0)
    return np.clip(np.moveaxis(rgb * f(255), 0, -1).astype(int), 0, 255).astype(np.uint8)


def convert(image, alpha=1, beta=0):
    return np.clip(image.astype(np.float32) * np.float32(alpha) + np.float32(beta), 0, 255).astype(np.uint8)


def saturated(image, factor):
    hsv = rgb_to_hsv(image)
    hsv[..., 1] = convert(hsv[..., 1], alpha=factor)
    return hsv_to_rgb(hsv)


def turned(image, steps):
    hsv = rgb_to_hsv(image)
    hsv[..., 0] = (hsv[..., 0].astype(int) + steps) % 180
    return hsv_to_rgb(hsv)


def jitter(image, random):
    def contrast(image):
        return convert(image, alpha=random.between(0.5, 1.5)) if random.unit() < 0.5 else image
    if random.unit() < 0.5:
        image = convert(image, beta=random.between(-32, 32))
    first = random.unit() < 0.5
    image = contrast(image) if first else image
    if random.unit() < 0.5:
        image = saturated(image, random.between(0.5, 1.5))
    if random.unit() < 0.5:
        image = turned(image, random.below(37) - 18)
    return image if first else contrast(image)


def resize(image, labels, height, width):
    image = np.asarray(Image.fromarray(image).resize((width, height), Image.BILINEAR))
    labels = torch.nn.functional.interpolate(torch.from_numpy(labels.astype(float))[None, None], (height, width),
                                             mode="nearest")[0, 0].numpy().astype(int)
    return image, labels


def augment(image, labels, random, crop, short, longest, resized_crop=False):
    h, w = labels.shape
    if resized_crop:
        low, high = math.log(3 / 4), math.log(4 / 3)
        for _ in range(10):
            area = h * w * random.between(0.08, 1)
            ratio = float(np.float32(math.exp(random.between(low, high))))
            width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < width <= w and 0 < height <= h:
                top = random.below(h - height + 1)
                left = random.below(w - width + 1)
                break
        else:
            height, width = h, w
            if w / h < 3 / 4:
                height = round(w / (3 / 4))
            elif w / h > 4 / 3:
                width = round(h * (4 / 3))
            top, left = (h - height) // 2, (w - width) // 2
        window = slice(top, top + height), slice(left, left + width)
        image, labels = resize(np.ascontiguousarray(image[window]), labels[window], crop, crop)
    else:
        scale = short / min(h, w)
        new = (short, scale * w) if h < w else (scale * h, short)
        if max(new) > longest:
            new = [side * (longest / max(new)) for side in new]
        height, width = (int(side + 0.5) for side in new)
        image, labels = resize(image, labels, height, width)
        ch, cw = min(crop, height), min(crop, width)
        top = random.below(height - ch + 1)
        left = random.below(width - cw + 1)
        image, labels = image[top:top + ch, left:left + cw], labels[top:top + ch, left:left + cw]
    image = jitter(image, random)
    if random.unit() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
    right, below = crop - labels.shape[1], crop - labels.shape[0]
    return (np.pad(image, ((0, below), (0, right), (0, 0)), constant_values=128),
            np.pad(labels, ((0, below), (0, right)), constant_values=UNKNOWN))


def picture(height, width):
    state, pixels, labels = height * 1000 + width, [], []
    for _ in range(height * width):
        state = (state * 1664525 + 1013904223) % 2 ** 32
        pixels += [state >> 24, state >> 16 & 255, state >> 8 & 255]
        labels.append(UNKNOWN if state >> 28 == 0 else (state >> 12) % 300)
    return np.array(pixels, np.uint8).reshape(height, width, 3), np.array(labels).reshape(height, width)


def check_sums(image, labels):
    return (f"0x{zlib.crc32(np.ascontiguousarray(image).tobytes()):08X}, "
            f"0x{zlib.crc32(labels.astype('<u2').tobytes()):08X}")


def all_colors(first, second, third):
    return np.stack(np.meshgrid(np.arange(first), np.arange(second), np.arange(third), indexing="ij"),
                    -1).astype(np.uint8)


def main():
    forward = backward = 0
    for i in range(256):
        rgb = all_colors(1, 256, 256)[0]
        rgb[..., 0] = i
        hsv = rgb_to_hsv(rgb)
        forward = zlib.crc32(hsv.tobytes(), forward)
        assert cv2 is None or (hsv == cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)).all()
        if i < 180:
            back = hsv_to_rgb(rgb)
            backward = zlib.crc32(back.tobytes(), backward)
            assert cv2 is None or (back == cv2.cvtColor(rgb, cv2.COLOR_HSV2RGB)).all()
    print(f"all of RGB to HSV 0x{forward:08X}, all of HSV to RGB 0x{backward:08X}, OpenCV:", cv2 and cv2.__version__)

    image, labels = picture(40, 64)
    for name, changed in (("brightness -20.7", convert(image, beta=-20.7)), ("brightness 31.9", convert(image, beta=31.9)),
                          ("contrast 0.613", convert(image, alpha=0.613)), ("contrast 1.47", convert(image, alpha=1.47)),
                          ("saturation 0.55", saturated(image, 0.55)), ("saturation 1.45", saturated(image, 1.45)),
                          ("hue -18", turned(image, -18)), ("hue 7", turned(image, 7))):
        print(f"{name}: 0x{zlib.crc32(changed.tobytes()):08X}")

    for old, new in (((40, 64), (24, 38)), ((40, 64), (96, 154)), ((7, 5), (7, 11)), ((33, 50), (32, 48))):
        print(old, new, check_sums(*resize(*picture(*old), *new)))

    for size, crop, short, longest in (((40, 64), 32, 32, 1333), ((64, 40), 32, 48, 1333), ((17, 90), 32, 32, 60),
                                       ((30, 30), 64, 48, 1333)):
        for resized_crop in (False, True):
            for seed in (1, 2, 3, 4, 5, 6):
                result = augment(*picture(*size), Random(seed), crop, short, longest, resized_crop)
                print(f"{{{size[0]}, {size[1]}, {crop}, {short}, {longest}, {str(resized_crop).lower()}, {seed}, "
                      f"{check_sums(*result)}}},")
    random = Random(5489)
    print("mt19937_64, number 10000:", [random.bits() for _ in range(10000)][-1])


if __name__ == "__main__":
    main()
