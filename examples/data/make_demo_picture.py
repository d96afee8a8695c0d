# SPDX-License-Identifier: Apache-2.0
"""Draws demo.png, a summer afternoon that is ours to ship.   python3 make_demo_picture.py [demo.png]"""
import math
import random
import sys

from PIL import Image, ImageDraw, ImageFilter

W, H, S = 640, 448, 3  # size, and how much larger it is drawn before shrinking


def gradient(top, bottom, height):
    column = Image.new("RGB", (1, height))
    for y in range(height):
        t = y / max(1, height - 1)
        column.putpixel((0, y), tuple(round(a + (b - a) * t) for a, b in zip(top, bottom)))
    return column.resize((W * S, height))


def main():
    random.seed(5)
    image = Image.new("RGB", (W * S, H * S))
    image.paste(gradient((88, 158, 224), (214, 234, 246), 270 * S), (0, 0))
    image.paste(gradient((126, 176, 82), (74, 128, 52), (H - 250) * S), (0, 250 * S))
    draw = ImageDraw.Draw(image)

    def polygon(points, fill):
        draw.polygon([(x * S, y * S) for x, y in points], fill=fill)

    def ellipse(x, y, rx, ry, fill):
        draw.ellipse([(x - rx) * S, (y - ry) * S, (x + rx) * S, (y + ry) * S], fill=fill)

    def box(x0, y0, x1, y1, fill):
        draw.rectangle([x0 * S, y0 * S, x1 * S, y1 * S], fill=fill)

    # Sun with a glow, and clouds, softened.
    for r in range(70, 30, -2):
        t = (70 - r) / 40
        ellipse(540, 78, r, r, tuple(round(a + (b - a) * t * t) for a, b in zip((150, 196, 232), (255, 240, 190))))
    ellipse(540, 78, 31, 31, (255, 236, 140))
    clouds = Image.new("L", image.size, 0)
    pen = ImageDraw.Draw(clouds)
    for cx, cy, size in ((130, 80, 1.0), (330, 52, 0.7), (420, 128, 0.55)):
        for dx, dy, r in ((-46, 8, 20), (-20, -4, 28), (14, -10, 32), (44, 4, 24), (0, 12, 30)):
            pen.ellipse([(cx + (dx - r) * size) * S, (cy + (dy - r * 0.72) * size) * S,
                         (cx + (dx + r) * size) * S, (cy + (dy + r * 0.72) * size) * S], fill=225)
    image.paste((250, 252, 255), (0, 0), clouds.filter(ImageFilter.GaussianBlur(3 * S)))

    # Far and near hills.
    def hill(base, height, wave, phase, color):
        points = [(0, 262)]
        points += [(x, base - height * (0.5 + 0.5 * math.sin(x / wave + phase))) for x in range(0, W + 8, 8)]
        polygon(points + [(W, 262)], color)
    hill(252, 70, 92, 0.4, (142, 176, 186))
    hill(256, 46, 70, 2.1, (112, 158, 128))
    hill(262, 26, 110, 4.4, (100, 156, 84))

    # Pond with a shimmer.
    ellipse(520, 322, 96, 26, (92, 132, 64))
    ellipse(520, 321, 90, 22, (86, 150, 196))
    for i in range(14):
        x, y = 520 + random.uniform(-66, 56), 321 + random.uniform(-14, 14)
        box(x, y, x + random.uniform(8, 22), y + 1, (142, 190, 222))

    # A road that winds to the house.
    left, right = [], []
    for i in range(61):
        t = i / 60
        y = 448 - t * 168
        centre = 250 - 60 * math.sin(t * 2.6) + 20 * t
        half = 66 * (1 - t) ** 1.3 + 7
        left.append((centre - half, y))
        right.append((centre + half, y))
    polygon(left + right[::-1], (172, 160, 146))
    for i in range(0, 60, 4):
        (xl, y0), (xr, _) = left[i], right[i]
        (xl1, y1), (xr1, _) = left[i + 2], right[i + 2]
        c0, c1, h0, h1 = (xl + xr) / 2, (xl1 + xr1) / 2, (xr - xl) * 0.03, (xr1 - xl1) * 0.03
        polygon([(c0 - h0, y0), (c0 + h0, y0), (c1 + h1, y1), (c1 - h1, y1)], (232, 226, 214))

    # House: walls, roof, chimney, door, windows.
    box(286, 160, 302, 200, (150, 78, 66))
    box(236, 206, 352, 290, (238, 222, 194))
    box(322, 206, 352, 290, (222, 204, 174))
    polygon([(222, 210), (294, 152), (366, 210)], (176, 74, 60))
    polygon([(294, 152), (366, 210), (352, 210), (294, 163)], (154, 60, 50))
    box(284, 246, 308, 290, (104, 72, 52))
    ellipse(303, 269, 1.6, 1.6, (232, 200, 110))
    for x in (248, 322):
        box(x, 228, x + 22, 252, (255, 250, 240))
        box(x + 2, 230, x + 20, 250, (120, 166, 196))
        box(x + 10, 230, x + 12, 250, (255, 250, 240))
        box(x + 2, 239, x + 20, 241, (255, 250, 240))

    # Trees: a trunk and many leaves of light and shade.
    def tree(x, y, size):
        polygon([(x - 7 * size, y), (x + 7 * size, y), (x + 4 * size, y - 60 * size), (x - 4 * size, y - 60 * size)], (112, 82, 56))
        for i in range(240):
            angle, r = random.uniform(0, 2 * math.pi), math.sqrt(random.random())
            dx, dy = 44 * r * math.cos(angle), 40 * r * math.sin(angle)
            light = 0.5 - 0.3 * dy / 40 + 0.12 * dx / 44 + random.uniform(-0.12, 0.12)
            color = tuple(round(a + (b - a) * min(1, max(0, light))) for a, b in zip((36, 84, 40), (128, 182, 78)))
            leaf = random.uniform(5, 10) * size
            ellipse(x + dx * size, y - (88 - dy) * size, leaf, leaf, color)
    tree(112, 300, 1.25)
    tree(424, 284, 0.8)
    tree(598, 290, 0.7)

    # Grass blades and flowers in front.
    for i in range(900):
        y = 270 + (H - 270) * random.random() ** 0.7
        x = random.uniform(0, W)
        near = (y - 262) / (H - 262)
        if image.getpixel((min(W * S - 1, int(x * S)), min(H * S - 1, int(y * S))))[1] < 110 or near < 0.05:
            continue
        red, green, blue = image.getpixel((int(x * S), min(H * S - 1, int(y * S))))
        if not (green > red + 20 and green > blue + 30):
            continue
        shade = random.uniform(-18, 22)
        draw.line([x * S, y * S, (x + random.uniform(-3, 3) * near) * S, (y - (3 + 9 * near)) * S],
                  fill=(int(red + shade * 0.6), int(green + shade), int(blue + shade * 0.4)), width=max(1, int(S * (0.6 + near))))
    for i in range(46):
        x, y = random.choice([random.uniform(0, 150), random.uniform(400, 640)]), random.uniform(360, 440)
        r = 1.6 + 2.2 * (y - 340) / 100
        color = random.choice([(226, 70, 74), (250, 210, 70), (244, 244, 250), (190, 110, 200)])
        for k in range(5):
            ellipse(x + r * math.cos(k * 1.2566), y + r * math.sin(k * 1.2566), r * 0.75, r * 0.75, color)
        ellipse(x, y, r * 0.55, r * 0.55, (250, 224, 120))

    # A red ball on the grass.
    ellipse(404, 408, 30, 7, (66, 108, 46))
    for r in range(24, 0, -1):
        t = 1 - r / 24
        ellipse(402 - 6 * t, 388 - 8 * t, r, r, tuple(round(a + (b - a) * t * t) for a, b in zip((182, 34, 40), (255, 170, 160))))

    image = image.resize((W, H), Image.LANCZOS)
    image.save(sys.argv[1] if len(sys.argv) > 1 else "demo.png", optimize=True)


if __name__ == "__main__":
    main()
