// What a network sees of images of SIDE x SIDE bytes: evened out, changed at random and normalised, each pixel looked up
// once. The same as `DigitTransform` between `BlockFloat` and `BlockNormalize`, whose steps are those of affine.py;
// nothing is written to memory between them.
#include "common.h"
#include <cmath>
#ifdef __AVX2__
#include <immintrin.h>
#endif

constexpr int PIXELS = SIDE*SIDE;
constexpr int PITCH = (SIDE+2+15)/16*16;         // a row with a border of 0 on either side
constexpr int PADDED = (SIDE+3)*PITCH+16;        // an image with such a border, and some that is read beyond it
static_assert(PIXELS%V == 0, "whole vectors");

struct Map { // of (x, y), between -1 and 1, to (xx*x + xy*y + x0, yx*x + yy*y + y0)
    float xx, xy, x0, yx, yy, y0;
};
struct Numbers {
    float size;               // the power of the spreads by which digits are stretched
    float spread_x, spread_y; // towards which they are
    float mean, std;          // of the pixels, between 0 and 1
    int32_t even;             // if 0, they are not evened out
};
alignas(64) static float places_x[PIXELS], places_y[PIXELS]; // of the pixels, between -1 and 1

__attribute__((constructor)) static void places() {
    for (int i = 0; i < PIXELS; i++) {
        places_x[i] = (2*(i%SIDE)+1)/(float)SIDE-1;
        places_y[i] = (2*(i/SIDE)+1)/(float)SIDE-1;
    }
}

template<class T> static T limited(T v, T low, T high) { return v < low ? low : v > high ? high : v; }

// a(b(x, y))
static Map composed(Map a, Map b) {
    return {a.xx*b.xx+a.xy*b.yx, a.xx*b.xy+a.xy*b.yy, a.xx*b.x0+a.xy*b.y0+a.x0,
            a.yx*b.xx+a.yy*b.yx, a.yx*b.xy+a.yy*b.yy, a.yx*b.x0+a.yy*b.y0+a.y0};
}

// As `moment_matrix`; ink: [SIDE] rows, PITCH apart. The sums are those of whole numbers, and so exact.
static Map moments(const uint8_t* ink, Numbers k) {
    int32_t column[3][PITCH] = {}; // of each column, the sums of ink, y*ink and y*y*ink
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < PITCH; x++) {
            int32_t v = ink[y*PITCH+x];
            column[0][x] += v;
            column[1][x] += y*v;
            column[2][x] += y*y*v;
        }
    int32_t total = 0, sx = 0, sy = 0, sxx = 0, sxy = 0, syy = 0;
    for (int x = 0; x < SIDE; x++) {
        total += column[0][x];
        sx += x*column[0][x];
        sy += column[1][x];
        sxx += x*x*column[0][x];
        sxy += x*column[1][x];
        syy += column[2][x];
    }
    if (!total) return {1, 0, 0, 0, 1, 0}; // an empty image stays as it is
    const double unit = 2./SIDE, x = (double)sx/total, y = (double)sy/total; // in pixels
    const float mx = unit*(x+.5)-1, my = unit*(y+.5)-1, least = 1e-6;
    const float xx = std::fmax(unit*unit*((double)sxx/total-x*x), least);
    const float yy = std::fmax(unit*unit*((double)syy/total-y*y), least);
    const float xy = unit*unit*((double)sxy/total-x*y);
    const float t = limited(xy/yy, -1.f, 1.f);
    const float upright = std::fmax(xx-2*t*xy+t*t*yy, least); // the variance of x once the slant is gone
    const float kx = limited(std::pow(k.spread_x/std::sqrt(upright), -k.size), 1/1.8f, 1/.6f);
    const float ky = limited(std::pow(k.spread_y/std::sqrt(yy), -k.size), 1/1.8f, 1/.6f);
    return {kx, t*ky, mx-kx*mx-t*ky*my, 0, ky, my-ky*my};
}

static inline ints looked_up(const uint32_t* from, ints at) {
#if defined(__AVX512F__)
    return (ints)_mm512_i32gather_epi32((__m512i)at, from, 4);
#elif defined(__AVX2__)
    return (ints)_mm256_i32gather_epi32((const int*)from, (__m256i)at, 4);
#else
    ints out{};
    for (int i = 0; i < V; i++) out[i] = from[at[i]];
    return out;
#endif
}

// Places in an image, in pixels from the middle of its border's first, moved to the border if they lie outside; a place
// that is no number too.
static inline vec inside(vec u) {
    u = u > 0 ? u : vec{};
    return u < SIDE+1 ? u : vec{}+(SIDE+1);
}

// One bilinear interpolation; image: [SIDE+2][PITCH], with a border of 0.
static void warp(const uint8_t* image, Map m, Numbers k, float* out) {
    alignas(64) uint32_t four[(SIDE+2)*PITCH]; // at each place the pixel there, that to its right, and the two below
    for (int i = 0; i < (SIDE+2)*PITCH; i++)
        four[i] = image[i] | image[i+1]<<8 | image[i+PITCH]<<16 | (uint32_t)image[i+PITCH+1]<<24;
    const float half = SIDE/2.f, factor = 1/(255*k.std), shift = -k.mean/k.std;
    m = {m.xx*half, m.xy*half, (m.x0+1)*half+.5f, m.yx*half, m.yy*half, (m.y0+1)*half+.5f};
    for (int i = 0; i < PIXELS; i += V) {
        vec x, y;
        std::memcpy(&x, places_x+i, sizeof x);
        std::memcpy(&y, places_y+i, sizeof y);
        vec u = inside(m.xx*x+m.xy*y+m.x0), v = inside(m.yx*x+m.yy*y+m.y0);
        ints column = __builtin_convertvector(u, ints), row = __builtin_convertvector(v, ints);
        u -= __builtin_convertvector(column, vec);
        v -= __builtin_convertvector(row, vec);
        ints p = looked_up(four, row*PITCH+column);
        vec a = __builtin_convertvector(p&255, vec), b = __builtin_convertvector(p>>8&255, vec);
        vec c = __builtin_convertvector(p>>16&255, vec), d = __builtin_convertvector(p>>24&255, vec);
        vec above = a+u*(b-a), below = c+u*(d-c);
        vec z = (above+v*(below-above))*factor + shift;
        std::memcpy(out+i, &z, sizeof z);
    }
}

// As `change_strokes`: each pixel a share of the way to the one of the nine around it that `pick` takes.
template<class F> static void change_strokes(float* image, float share, F pick) {
    float beside[PIXELS]; // what it takes of a pixel and those on its left and right
    for (int y = 0; y < SIDE; y++) {
        const float* row = image+y*SIDE;
        float* to = beside+y*SIDE;
        to[0] = pick(row[0], row[1]);
        to[SIDE-1] = pick(row[SIDE-2], row[SIDE-1]);
        for (int x = 1; x < SIDE-1; x++) to[x] = pick(pick(row[x-1], row[x]), row[x+1]);
    }
    for (int y = 0; y < SIDE; y++) {
        const float* above = beside+(y ? y-1 : y)*SIDE;
        const float* below = beside+(y < SIDE-1 ? y+1 : y)*SIDE;
        for (int x = 0; x < SIDE; x++) {
            float* v = image+y*SIDE+x;
            *v += share*(pick(pick(above[x], beside[y*SIDE+x]), below[x])-*v);
        }
    }
}

extern "C" {

// images: [n][SIDE][SIDE]; random: [n], the maps that change them, or 0; strokes: [n], or 0; out: [n][SIDE][SIDE]
void warp_all(const uint8_t* images, const Map* random, const float* strokes, const Numbers* numbers, int n,
              int threads, float* out) {
    const Numbers k = *numbers;
    const int some = 16; // images at a time
    each((n+some-1)/some, threads, [=](int group, int) {
        alignas(64) uint8_t image[PADDED] = {};
        for (int i = group*some; i < n && i < (group+1)*some; i++) {
            for (int y = 0; y < SIDE; y++)
                std::memcpy(image + (y+1)*PITCH+1, images + (size_t)i*PIXELS + y*SIDE, SIDE);
            Map m = k.even ? moments(image+PITCH+1, k) : Map{1, 0, 0, 0, 1, 0};
            float* seen = out + (size_t)i*PIXELS;
            warp(image, random ? composed(m, random[i]) : m, k, seen);
            const float share = strokes ? strokes[i] : 0;
            if (share > 0) change_strokes(seen, share, [](float a, float b) { return a > b ? a : b; });
            if (share < 0) change_strokes(seen, -share, [](float a, float b) { return a < b ? a : b; });
        }
    });
}

}
