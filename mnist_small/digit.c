/// what an image becomes: pixels
// What the network is given of the pixels: normalised.
static void prepare(const unsigned char *pixels, number *out)
{
    for (int row = 0; row < 28; row++)
        for (int column = 0; column < 28; column++)
            out[AT(row, column)] = stored((pixels[28*row + column]/255.f - MEAN)/DEVIATION/STEP);
}

/// the same, slant and size evened out: moments
// From places in the result to places in the picture: column = xx*column + xy*row + x, row = yy*row + y.
struct map { float xx, xy, x, yy, y; };

static float within(float low, float v, float high) { return v < low ? low : v > high ? high : v; }

// The map that sets a digit upright, and brings its spread in x and y nearer to SPREAD_X and SPREAD_Y.
static struct map even_out(const unsigned char *pixels)
{
    int32_t n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0, syy = 0; // exact: 255*784*27*27 is below 2^31
    for (int row = 0; row < 28; row++)
        for (int column = 0; column < 28; column++) {
            int32_t ink = pixels[28*row + column], x = 2*column - 27, y = 2*row - 27; // 28 is half the side
            n += ink;
            sx += ink*x;
            sy += ink*y;
            sxx += ink*x*x;
            sxy += ink*x*y;
            syy += ink*y*y;
        }
    double one = n > 0 ? 1./n : 0, mx = sx*one/28, my = sy*one/28;
    float xx = (float)(sxx*one/784 - mx*mx), xy = (float)(sxy*one/784 - mx*my), yy = (float)(syy*one/784 - my*my);
    xx = xx > 1e-6f ? xx : 1e-6f; // a single pixel, or none
    yy = yy > 1e-6f ? yy : 1e-6f;
    float slant = within(-1, xy/yy, 1), upright = xx - 2*slant*xy + slant*slant*yy;
    upright = upright > 1e-6f ? upright : 1e-6f;
    struct map m;
    m.xx = within(1/1.8f, powf(SPREAD_X/sqrtf(upright), -POWER), 1/.6f);
    m.yy = within(1/1.8f, powf(SPREAD_Y/sqrtf(yy), -POWER), 1/.6f);
    m.xy = slant*m.yy;
    m.x = (float)(14*mx) + 13.5f - m.xx*((float)(14*mx) + 13.5f) - m.xy*((float)(14*my) + 13.5f);
    m.y = (float)(14*my) + 13.5f - m.yy*((float)(14*my) + 13.5f);
    return m;
}

static float pixel(const unsigned char *pixels, int row, int column)
{
    return row < 0 || row > 27 || column < 0 || column > 27 ? 0.f : pixels[28*row + column];
}

// What the network is given of the pixels: evened out, in one bilinear interpolation, and normalised.
static void prepare(const unsigned char *pixels, number *out)
{
    struct map m = even_out(pixels);
    for (int row = 0; row < 28; row++)
        for (int column = 0; column < 28; column++) {
            float x = m.xx*column + m.xy*row + m.x, y = m.yy*row + m.y, left = floorf(x), top = floorf(y);
            int i = (int)top, j = (int)left;
            float above = (left + 1 - x)*pixel(pixels, i, j) + (x - left)*pixel(pixels, i, j + 1);
            float below = (left + 1 - x)*pixel(pixels, i + 1, j) + (x - left)*pixel(pixels, i + 1, j + 1);
            float ink = (top + 1 - y)*above + (y - top)*below;
            out[AT(row, column)] = stored((ink/255.f - MEAN)/DEVIATION/STEP);
        }
}

/// the numbers of weights and activations: float
typedef float number; // of weights and activations
typedef float total;  // of products

static number stored(float v) { return v; }

/// the same in eight bits: int8
typedef int8_t number; // of weights and activations
typedef int32_t total; // of products

static number stored(float v) // the nearest whole number from -127 to 127
{
    return (number)floorf((v < -127 ? -127 : v > 127 ? 127 : v) + .5f);
}

/// one layer after the other: layers
// A convolution with what follows it. Its input has the padding around it already, its output gets that of the next.
struct layer {
    int in, side, out, kernel;  // channels in, rows and columns of the input with padding, channels out, kernel's side
    int each;                   // whether each channel is convolved by itself; then `in` is 1
    int relu, pool, border;     // whether ReLU and 2x2 max-pooling follow; zeros around the output
    const number *weight;       // [out][in][kernel][kernel]
    const float *factor, *bias; // [out], of sums of products
    const float *scale, *shift; // [out], after ReLU, where batch norm is not in the next layer's weights
};

// A row of one channel of the output, before pooling.
static void convolve(const struct layer *l, const number *restrict in, int channel, int row, float *restrict out)
{
    int kernel = l->kernel, wide = l->side - kernel + 1;
    const number *w = l->weight + channel*l->in*kernel*kernel;
    total sum[WIDEST] = {0};
    for (int c = 0; c < l->in; c++)
        for (int k = 0; k < kernel; k++) {
            const number *x = in + ((l->each ? channel : c)*l->side + row + k)*l->side;
            for (int j = 0; j < kernel; j++, w++)
                for (int i = 0; i < wide; i++) sum[i] += *w*x[i + j];
        }
    float factor = l->factor ? l->factor[channel] : 1, bias = l->bias[channel];
    for (int i = 0; i < wide; i++) out[i] = sum[i]*factor + bias;
    if (l->relu)
        for (int i = 0; i < wide; i++) out[i] = out[i] > 0 ? out[i] : 0;
    if (l->scale)
        for (int i = 0; i < wide; i++) out[i] = out[i]*l->scale[channel] + l->shift[channel];
}

/// from one layer to the next: run
// in: [in][side][side], out: [out][size][size], where size counts the border
static void run(const struct layer *l, const number *restrict in, number *restrict out)
{
    int wide = l->side - l->kernel + 1, rows = l->pool ? wide/2 : wide, size = rows + 2*l->border;
    float z[2][WIDEST];
    if (l->border) memset(out, 0, sizeof *out*l->out*size*size);
    for (int channel = 0; channel < l->out; channel++)
        for (int row = 0; row < rows; row++) {
            number *to = out + (channel*size + row + l->border)*size + l->border;
            if (!l->pool) {
                convolve(l, in, channel, row, z[0]);
                for (int i = 0; i < rows; i++) to[i] = stored(z[0][i]);
                continue;
            }
            for (int i = 0; i < 2; i++) convolve(l, in, channel, 2*row + i, z[i]);
            for (int i = 0; i < rows; i++) {
                float a = z[0][2*i], b = z[0][2*i + 1], c = z[1][2*i], d = z[1][2*i + 1];
                a = a > b ? a : b;
                c = c > d ? c : d;
                to[i] = stored(a > c ? a : c);
            }
        }
}

/// the mean of each channel: average
// in: [channels][side][side], factor, out: [channels]
static void average(const number *in, int channels, int side, const float *factor, number *out)
{
    for (int c = 0; c < channels; c++) {
        total sum = 0;
        for (int i = 0; i < side*side; i++) sum += in[c*side*side + i];
        out[c] = stored(sum*factor[c]);
    }
}

/// from logits to probabilities: softmax
static void softmax(float *p)
{
    float most = p[0], sum = 0;
    for (int i = 1; i < CLASSES; i++) most = p[i] > most ? p[i] : most;
    for (int i = 0; i < CLASSES; i++) sum += p[i] = expf(p[i] - most);
    for (int i = 0; i < CLASSES; i++) p[i] /= sum;
}

/// a program that reads images: main
#ifdef DIGIT_MAIN // 28x28 bytes an image on standard input; a line for each: the digit, then the probabilities
#include <stdio.h>

int main(void)
{
    unsigned char pixels[28*28];
    while (fread(pixels, sizeof pixels, 1, stdin) == 1) {
        float p[CLASSES];
        int best = 0;
        digit_probabilities(pixels, p);
        for (int i = 1; i < CLASSES; i++) best = p[i] > p[best] ? i : best;
        printf("%d", best);
        for (int i = 0; i < CLASSES; i++) printf(" %.9g", p[i]);
        printf("\n");
    }
    return 0;
}
#endif
