// Forward and backward pass of a small convolutional network, for batches of a fixed size.
//
// Images lie side by side in vectors of V numbers: a tensor is [group][channel][row][column][image of the group], so
// that every arithmetic operation works on as many images as fit in a register, whatever the number of channels. In
// comments, shapes leave out that last dimension where the elements are of type `vec`.
//
// STAGES, given on the compiler's command line, lists the parts of the network, each a Stage<...>; nothing else in here
// depends on the network. A stage is a convolution and what follows it. In training it computes, in this order,
//
//     u = x, each channel convolved by itself
//     z = convolution(u) + bias
//     r = ReLU(z)
//     n = a*r + b                  batch norm
//     m = max of 2x2 of n          max-pooling
//     y = factor*m                 dropout
//
// and what is not there is left out; without the first line u is x. Of these only x and r are kept for the backward
// pass, which computes the others again where it needs them: reading memory takes longer. y is written straight into the
// x of the next stage.
//
// With the first line there are more channels, and x and r of a batch would not fit into the cache. Such a stage goes
// through a group a few rows at a time, from x to r and back again; it keeps of r only what is pooled, and x not at all
// if the stage before it keeps what x can be computed from.
//
// To add a layer, follow an existing one: `forward` and `output` have the forward steps, `before_conv` takes them back
// in reverse order, and the tests of the notebook hold both against PyTorch.
#include "common.h"
#include <cmath>
#include <cstdlib>
#include <new>
#include <tuple>
#include <utility>

// Vectors that hold sums in an inner loop; the rest of the 32 or 16 registers is for its inputs
constexpr int REGISTERS = V == 16 ? 24 : 12;

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

// ---------------------------------------------------------------------------------------------------------------------
// Small things

constexpr int block(int channels, int most) { // the largest divisor of channels that is at most `most`
    int b = most < 1 ? 1 : most;
    while (channels%b) b--;
    return b;
}

static double total(vec v) {
    double s = 0;
    for (int i = 0; i < V; i++) s += v[i];
    return s;
}

template<class T> T* allocate(size_t n) { // n zeros
    void* p = std::aligned_alloc(64, (n*sizeof(T)+63)/64*64);
    if (!p) throw std::bad_alloc();
    std::memset(p, 0, n*sizeof(T));
    return static_cast<T*>(p);
}

struct Random { // xorshift32 (Marsaglia 2003), a sequence of its own for each image
    bits s;
    Random(uint64_t seed, int stage, int group) {
        for (int i = 0; i < V; i++) { // splitmix64
            uint64_t z = seed + 0x9e3779b97f4a7c15ull*(uint64_t)(1 + i + V*(group + 4096*stage));
            z = (z ^ (z >> 30))*0xbf58476d1ce4e5b9ull;
            z = (z ^ (z >> 27))*0x94d049bb133111ebull;
            s[i] = (uint32_t)(z ^ (z >> 31)) | 1;
        }
    }
    vec factor(uint32_t below, float scale) { // 0 with probability below/2^32, otherwise scale
        s ^= s << 13;
        s ^= s >> 17;
        s ^= s << 5;
        return s >= below ? vec{}+scale : vec{};
    }
};

// The convolution of one group of images: x is [CI][H][W], its result [CO][OH][OW]. The weights w are floats,
// [CO/CB][CI][K][K][CB]: in the order in which they are read. The sums of CB channels at WB places in a row are all
// held in registers; then out(channel, place, number of places, sums) takes those of a channel.
template<int CI, int H, int W, int CO, int K, int S = H*W> struct Conv { // S: vectors from one channel of x to the next
    static constexpr int OH = H-K+1, OW = W-K+1;
    static constexpr int CB = block(CO, 6), WB = REGISTERS/CB;

    template<int N, class Out> static inline void tile(const vec* x, const float* w, int c0, int h, int w0, Out out) {
        vec sum[CB][N] = {};
        for (int ci = 0; ci < CI; ci++)
            for (int i = 0; i < K; i++) {
                const vec* row = x + ci*S + (h+i)*W + w0;
                const float* k = w + (ci*K+i)*K*CB;
                UNROLL for (int j = 0; j < K; j++)
                    UNROLL for (int c = 0; c < CB; c++) {
                        vec f = vec{} + k[j*CB+c];
                        UNROLL for (int b = 0; b < N; b++) sum[c][b] += row[j+b]*f;
                    }
            }
        UNROLL for (int c = 0; c < CB; c++) out(c0+c, h*OW+w0, N, sum[c]);
    }

    template<class Out> static void run(const vec* x, const float* w, Out out, int rows = OH) {
        for (int c0 = 0; c0 < CO; c0 += CB, w += CI*K*K*CB)
            for (int h = 0; h < rows; h++) {
                int w0 = 0;
                for (; w0+WB <= OW; w0 += WB) tile<WB>(x, w, c0, h, w0, out);
                if constexpr (OW%WB != 0) tile<OW%WB>(x, w, c0, h, w0, out);
            }
    }
};

// ---------------------------------------------------------------------------------------------------------------------
// What Python hands over for each stage: addresses in the memory of torch, 0 for what is not there

struct Weights {
    const float* w;     // [CO][CI][K][K], or [CO][CI][1][1] after average pooling
    const float* bias;  // [CO]
    const float* gamma; // [CO], batch norm's factor
    const float* beta;  // [CO], batch norm's shift
    const float* depth; // [CI][1][D][D]
    float* mean;        // [CO], running mean
    float* var;         // [CO], running variance
    int64_t* seen;      // number of batches that these two have seen
};
struct Gradients { // of the loss; shapes as above
    float* w;
    float* bias;
    float* gamma;
    float* beta;
    float* depth;
};
struct Numbers {
    float momentum;   // of the running statistics
    float eps;        // that batch norm adds to the variance
    float p;          // share that dropout sets to 0
    int32_t training; // if 0, batch norm uses its running statistics
};

// ---------------------------------------------------------------------------------------------------------------------
// A convolution and what follows it
//
// CI, IH, IW: channels, rows, columns of the input; CO: channels out; K: side of the kernel; P: padding. If AVG, the
// weights are one for each pair of channels, and the stage is average pooling followed by a convolution of 1x1: that is
// a convolution by a kernel as large as the image, all of whose numbers are the weight/(K*K). D: side of the kernels that
// convolve each channel by itself before (a depthwise convolution, to which the padding then belongs), or 0.
template<int CI, int IH, int IW, int CO, int K, int P, bool BIAS, bool RELU, bool BN, bool POOL, bool DROP, bool AVG,
         int D>
struct Stage {
    static constexpr int channels = CO, padding = P;
    static constexpr bool normed = BN, deep = D > 0, dropped = DROP, pooling = POOL;
    static constexpr int H = IH+2*P, W = IW+2*P;                               // of x, padding included
    static constexpr int UH = deep ? H-D+1 : H, UW = deep ? W-D+1 : W;         // of u
    static constexpr int OH = UH-K+1, OW = UW-K+1;                             // of z and r
    static constexpr int PH = POOL ? OH/2 : OH, PW = POOL ? OW/2 : OW;         // of m and y
    static constexpr int B = K-1-(deep ? 0 : P), DH = OH+2*B, DW = OW+2*B;     // of dz with a border of B zeros
    static constexpr int E = deep ? D-1-P : 0, EH = UH+2*E, EW = UW+2*E;       // of du with a border of E zeros
    static constexpr int ROWS = OW >= 48 ? 1 : 48/OW;                          // whose gradients are summed by themselves
    static constexpr bool EARLY = deep && POOL;                                // whether r is pooled in the forward pass
    static constexpr bool EVEN = !POOL || ROWS%2 == 0;                         // whether pooling never looks across parts
    static constexpr int PART = deep && EVEN && !DROP ? ROWS : OH;             // rows of z that are taken at a time
    static constexpr int XC = deep ? (PART+D-1)*W : 0;                         // vectors in a channel of these rows of x,
    static constexpr int UC = deep ? PART*UW : H*W, ZC = deep ? PART*OW : DH*DW; // of u, dz
    static constexpr int RC = EARLY ? PART*OW : OH*OW;                         // and r
    static constexpr int XS = CI*H*W, RS = CO*RC, GS = CO*PH*PW, ZS = CO*ZC;   // vectors in x, r, y, dz of a group
    static constexpr int US = deep ? CI*UC : 0, ES = deep ? CI*EH*EW : 0;      // and in u and du
    static constexpr int WS = CO*CI*K*K, VS = CI*D*D;                          // weights
    static constexpr bool ONE = OH == 1 && OW == 1 && !deep;                   // a fully connected layer
    static constexpr int WCB = block(CO, (REGISTERS-6)/K);                     // channels whose dw are summed at a time
    using Forward = Conv<CI,UH,UW,CO,K,UC>;
    using Backward = Conv<CO,DH,DW,CI,K,ZC>;
    using Deep = Conv<1,H,W,1,deep ? D : 1>; // of one channel
    using DeepBackward = Conv<1,EH,EW,1,deep ? D : 1>;

    // Of the batch, kept from the forward to the backward pass:
    vec* x = nullptr;       // [group][CI][H][W], the input; the padding stays 0. Not there if `source` is
    vec* r = nullptr;       // [group][CO][OH][OW], after ReLU; [thread][CO][PART][OW] if EARLY
    vec* g = nullptr;       // [group][CO][PH][PW], the gradient of y
    vec* p = nullptr;       // [group][CO][PH][PW], of four neighbours in r the one that is pooled; if EARLY
    // For each thread, so that none waits for another; PART rows if deep:
    vec* dz = nullptr;      // [thread][CO][DH][DW], the gradient of z for the group at hand; the border stays 0
    vec* dw = nullptr;      // [thread]{[CI][K][CO/WCB][WCB][K], [CO]}, sums of the gradients of weights, then of biases
    vec* some = nullptr;    // [thread][CI][PART+D-1][W], rows of x
    vec* u = nullptr;       // [thread][CI][PART][UW]
    vec* du = nullptr;      // [thread][CI][EH][EW], the gradient of u; the border stays 0
    vec* dv = nullptr;      // [thread][CI][D][D], sums of the gradients of the depthwise weights
    double* sums = nullptr; // [thread][CO][2], sums of a channel over images and places
    // Weights in the order in which `Forward` and `Backward` read them:
    alignas(64) float wf[WS]; // [CO/CB][CI][K][K][CB]
    alignas(64) float wb[WS]; // [CI/CB][CO][K][K][CB], the kernel turned by 180 degrees; [CI][K][K][CO] if ONE
    alignas(64) float vf[VS+1]; // [CI][D][D]
    alignas(64) float vb[VS+1]; // the same, turned by 180 degrees
    // For each channel, [CO]:
    float bias[CO];
    float shift[CO];                      // a number near the mean of r
    float gamma[CO], mean[CO], rstd[CO];  // batch norm's factor, mean and 1/standard deviation
    float a[CO], b[CO];                   // n = a*r + b
    float ga[CO], gb[CO], gc[CO];         // dr = ga*dn + gb*r + gc
    // Where x is not kept: it is factor*source + offset, which are p or r, a and b of the stage before
    const vec* source = nullptr;
    const float *factor = nullptr, *offset = nullptr;
    Weights weights;
    Gradients gradients;
    Numbers k;
    uint64_t seed;             // of the batch's dropout
    int index, groups, threads; // of the stage in the network; in the batch; most that will work on it

    void make(int n, int nt, int i) {
        groups = n;
        threads = nt;
        index = i;
        if (!source) x = allocate<vec>((size_t)n*XS);
        r = allocate<vec>((size_t)(EARLY ? nt : n)*RS);
        g = allocate<vec>((size_t)n*GS);
        if (EARLY) p = allocate<vec>((size_t)n*GS);
        dz = allocate<vec>((size_t)nt*ZS);
        dw = allocate<vec>((size_t)nt*(WS+CO));
        if (deep) {
            some = allocate<vec>((size_t)nt*CI*XC);
            u = allocate<vec>((size_t)nt*US);
            du = allocate<vec>((size_t)nt*ES);
            dv = allocate<vec>((size_t)nt*VS);
        }
        sums = allocate<double>((size_t)nt*2*CO);
    }
    ~Stage() {
        for (vec* o : {x, r, g, p, dz, dw, some, u, du, dv}) std::free(o);
        std::free(sums);
    }

    // Sums over the batch: each thread adds up its own, [CO][2], which are then taken together. ----------------------

    void clear_sums() { std::memset(sums, 0, sizeof(double)*threads*2*CO); }

    void add_sums(int thread, const vec* s) { // s: [CO][2]
        for (int i = 0; i < 2*CO; i++) sums[thread*2*CO+i] += total(s[i]);
    }

    double sum(int channel, int which) {
        double s = 0;
        for (int t = 0; t < threads; t++) s += sums[(t*CO+channel)*2+which];
        return s;
    }

    // Forward --------------------------------------------------------------------------------------------------------

    void prepare() { // copies of the weights, so that the backward pass has those of the forward pass
        constexpr int cb = Forward::CB, ib = Backward::CB;
        for (int o = 0; o < CO; o++)
            for (int c = 0; c < CI; c++)
                for (int i = 0; i < K*K; i++) {
                    float v = AVG ? weights.w[o*CI+c]/(K*K) : weights.w[(o*CI+c)*K*K+i];
                    wf[((o/cb*CI+c)*K*K+i)*cb + o%cb] = v;
                    if (ONE) wb[(c*K*K+i)*CO + o] = v;
                    else wb[((c/ib*CO+o)*K*K + K*K-1-i)*ib + c%ib] = v;
                }
        for (int c = 0; c < (deep ? CI : 0); c++)
            for (int i = 0; i < D*D; i++) vf[c*D*D+i] = vb[c*D*D + D*D-1-i] = weights.depth[c*D*D+i];
        for (int o = 0; o < CO; o++) {
            bias[o] = BIAS ? weights.bias[o] : 0;
            shift[o] = BN ? weights.mean[o] : 0;
        }
        clear_sums();
    }

    // The images of the batch, [images][CI][IH][IW], into x of the first stage, [CI][H][W].
    void read(const float* images, int group, vec* to) {
        for (int c = 0; c < CI; c++)
            for (int h = 0; h < IH; h++)
                for (int w = 0; w < IW; w++)
                    for (int i = 0; i < V; i++) {
                        size_t image = (size_t)group*V + i;
                        to[(c*H+h+P)*W + w+P][i] = images[((image*CI+c)*IH+h)*IW + w];
                    }
    }

    // The rows of x from which the rows h0 to h1 of u come.
    const vec* rows_of_x(int group, int thread, int h0, int h1) {
        vec* to = some + (size_t)thread*CI*XC;
        int n = (h1-h0+D-1)*W;
        for (int c = 0; c < CI; c++) {
            const vec* from = (source ? source : x) + (size_t)group*XS + (c*H+h0)*W;
            for (int i = 0; i < n; i++) to[c*XC+i] = source ? from[i]*factor[c] + offset[c] : from[i];
        }
        return to;
    }

    // Rows of u. Each channel: u[h][w] = sum of v[i][j]*x[h+i][w+j] over i, j.
    vec* rows_of_u(const vec* in, int thread, int rows) {
        vec* out = u + (size_t)thread*US;
        for (int c = 0; c < CI; c++)
            Deep::run(in + c*XC, vf + c*D*D, [=](int, int place, int many, const vec* z) {
                for (int i = 0; i < many; i++) out[c*UC + place + i] = z[i];
            }, rows);
        return out;
    }

    vec activated(vec z, int c) {
        vec v = z + bias[c];
        return RELU ? (v < 0 ? vec{} : v) : v; // in this order, not-a-number passes, as in torch
    }

    // r = ReLU(convolution(u) + bias), and for batch norm the sums of r-shift and of its squares. Without the shift,
    // the variance would be a small difference of large numbers wherever the mean is large.
    void forward(int group, int thread) {
        vec* out = r + (size_t)(EARLY ? thread : group)*RS;
        vec s[2*CO] = {};
        auto put = [&](int c, int place, int many, const vec* z) {
            vec one{}, two{}, off = vec{} + shift[c];
            for (int i = 0; i < many; i++) {
                vec v = activated(z[i], c);
                out[c*RC + place + i] = v;
                if (BN) {
                    v -= off;
                    one += v;
                    two += v*v;
                }
            }
            if (BN) {
                s[2*c] += one;
                s[2*c+1] += two;
            }
        };
        if constexpr (deep) {
            for (int h = 0; h < OH; h += PART) {
                int end = h+PART < OH ? h+PART : OH;
                Forward::run(rows_of_u(rows_of_x(group, thread, h, end), thread, end-h), wf, put, end-h);
                if (EARLY) pool(group, out, h/2, end/2);
                else out += PART*OW;
            }
        } else {
            Forward::run(x + (size_t)group*XS, wf, put);
        }
        if (BN) add_sums(thread, s);
    }

    // Rows of p, from those of r. a, which is not known yet, has the sign of gamma.
    void pool(int group, const vec* in, int from, int to) {
        vec* out = p + (size_t)group*GS;
        for (int c = 0; c < CO; c++)
            for (int h = from; h < to; h++)
                for (int w = 0; w < PW; w++)
                    out[(c*PH+h)*PW+w] = most(in + c*RC + 2*(h-from)*OW+2*w, BN ? weights.gamma[c] : 1);
    }

    // Batch norm is n = gamma*(r-mean)/sqrt(var+eps) + beta: for each channel a factor a and a shift b.
    void statistics() {
        double count = (double)groups*V*OH*OW;
        for (int c = 0; c < CO; c++) {
            if (!BN) {
                a[c] = 1;
                b[c] = 0;
                continue;
            }
            double one = sum(c, 0)/count;
            double two = sum(c, 1)/count - one*one;
            double m = shift[c]+one;
            double var = two < 0 ? 0 : two; // rounding can make it negative
            if (!k.training) {
                m = weights.mean[c];
                var = weights.var[c];
            }
            mean[c] = m;
            rstd[c] = 1/std::sqrt(var+k.eps);
            gamma[c] = weights.gamma[c];
            a[c] = weights.gamma[c]*rstd[c];
            b[c] = weights.beta[c] - m*a[c];
            if (!k.training) continue;
            weights.mean[c] += k.momentum*(m-weights.mean[c]);
            weights.var[c] += k.momentum*(var*count/(count-1)-weights.var[c]); // as torch: the unbiased one is kept
        }
        if (BN && k.training) ++*weights.seen;
    }

    // f(channel, row, column, place in r, dropout's factor) for each number of y. The factors are not kept but drawn
    // again: the same seed gives the same factors in the forward and in the backward pass.
    template<class F> void outputs(int group, F f, int first = 0, int end = PH) { // rows: all of them if DROP
        Random random(seed, index, group);
        uint32_t below = (uint32_t)((double)k.p*4294967296.);
        float scale = DROP ? 1/(1-k.p) : 1;
        for (int c = 0; c < CO; c++)
            for (int h = first; h < end; h++)
                for (int w = 0; w < PW; w++) {
                    int row = h - (EARLY ? first : 0);
                    int from = c*RC + (POOL ? 2*row*OW+2*w : row*OW+w);
                    f(c, h, w, from, DROP ? random.factor(below, scale) : vec{}+1.f);
                }
    }

    // Of four neighbours in r that whose a*r + b is largest: batch norm need not be computed for all four.
    static vec most(const vec* r, float a) {
        vec v = r[0];
        for (vec o : {r[1], r[OW], r[OW+1]}) v = (a > 0 ? o > v : o < v) ? o : v;
        return v;
    }

    vec pooled(int group, int c, int h, int w, int i) { // what a number of y comes from; i: its place in r
        if (EARLY) return p[(size_t)group*GS + (c*PH+h)*PW+w];
        const vec* from = r + (size_t)group*RS + i;
        return POOL ? most(from, a[c]) : *from;
    }

    // y = factor * max of 2x2 of (a*r + b), into the x of the next stage, [CO][PH+2*pad][PW+2*pad]; size: of a channel.
    void output(int group, vec* y, int pad, int size) {
        int wide = PW+2*pad;
        outputs(group, [=](int c, int h, int w, int i, vec factor) {
            vec v = pooled(group, c, h, w, i);
            v = v*a[c] + b[c];
            y[c*size + (h+pad)*wide + w+pad] = DROP ? v*factor : v;
        });
    }

    // Backward: from g, the gradient of y, to that of x. dv is the gradient of the loss with respect to v. ------------

    // forward: n = gamma*(r-mean)*rstd + beta; so backward: dbeta = sum of dn, dgamma = sum of dn*(r-mean)*rstd.
    // Of four neighbours that were pooled only the largest has a dn that is not 0: a number of y gives one summand.
    void gradient_sums(int group, int thread) {
        const vec* grad = g + (size_t)group*GS;
        vec s[2*CO] = {};
        outputs(group, [&](int c, int h, int w, int i, vec factor) {
            vec v = pooled(group, c, h, w, i);
            vec d = grad[(c*PH+h)*PW+w];
            if (DROP) d *= factor;
            s[2*c] += d;
            s[2*c+1] += d*(v-mean[c]);
        });
        add_sums(thread, s);
    }

    // forward: n depends on r by itself and through the batch's mean and rstd;
    // so backward: dr = gamma*rstd*(dn - dbeta/count - (r-mean)*rstd*dgamma/count) = ga*dn + gb*r + gc.
    void gradient_factors() {
        double count = (double)groups*V*OH*OW;
        for (int c = 0; c < CO; c++) {
            if (!BN) {
                ga[c] = 1;
                gb[c] = gc[c] = 0;
                continue;
            }
            double dbeta = sum(c, 0);
            double dgamma = sum(c, 1)*rstd[c];
            gradients.beta[c] = dbeta;
            gradients.gamma[c] = dgamma;
            ga[c] = gamma[c]*rstd[c];
            gb[c] = -ga[c]*rstd[c]*dgamma/count;
            gc[c] = -ga[c]*dbeta/count - (double)gb[c]*mean[c];
        }
        std::memset(dw, 0, sizeof(vec)*threads*(WS+CO));
        if (deep) std::memset(dv, 0, sizeof(vec)*threads*VS);
    }

    // From the gradient of y to that of z, for rows of one group: all steps after the convolution, the last first.
    void before_conv(int group, int thread, int h0 = 0, int h1 = OH) {
        const vec* from = r + (size_t)(EARLY ? thread : group)*RS;
        const vec* grad = g + (size_t)group*GS;
        vec* to = dz + (size_t)thread*ZS;
        vec* dbias = dw + (size_t)thread*(WS+CO) + WS;
        auto put = [=](int c, int h, int w, vec v, vec d) { // v: r at this place; d: dn
            if (BN) d = d*ga[c] + v*gb[c] + gc[c]; // forward: n = a*r + b; so backward: see gradient_factors
            if (RELU) d = v <= 0 ? vec{} : d;      // forward: r = max(z, 0); so backward: dz = dr where r > 0
            to[c*ZC + (h+B - (deep ? h0 : 0))*DW + w+B] = d;
            if (BIAS) dbias[c] += d;               // forward: z = ... + bias; so backward: dbias = sum of dz
        };
        outputs(group, [=](int c, int h, int w, int i, vec factor) {
            vec d = grad[(c*PH+h)*PW+w];
            if (DROP) d *= factor;                 // forward: y = factor*m; so backward: dm = factor*dy
            if constexpr (POOL) {
                // forward: m = largest of four n; so backward: its dn is dm (the first's, if some are equal), and that
                // of the others is 0
                vec largest = most(from+i, a[c]);
                for (int u = 0; u < 2; u++)
                    for (int t = 0; t < 2; t++) {
                        vec v = from[i+u*OW+t];
                        vec share = v == largest ? d : vec{};
                        d -= share;
                        put(c, 2*h+u, 2*w+t, v, share);
                    }
            } else {
                put(c, h, w, from[i], d);
            }
        }, POOL ? h0/2 : h0, POOL ? h1/2 : h1);
    }

    // forward: z[o][h][w] = sum of w[o][c][i][j]*u[c][h+i][w+j] over c, i, j;
    // so backward: dw[o][c][i][j] = sum of u[c][h+i][w+j]*dz[o][h][w] over images, h, w.
    void weight_sums(int group, int thread) {
        const vec* in = x + (size_t)group*XS;
        const vec* d = dz + (size_t)thread*ZS;
        for (int h0 = 0; h0 < OH; h0 += ROWS) {
            vec* sum = dw + (size_t)thread*(WS+CO);
            int h1 = h0+ROWS < OH ? h0+ROWS : OH;
            for (int c = 0; c < CI; c++)
                for (int i = 0; i < K; i++)
                    for (int o = 0; o < CO; o += WCB, sum += WCB*K) {
                        vec s[WCB][K] = {}; // a few rows are summed by themselves first, which rounds less
                        for (int h = h0; h < h1; h++) {
                            const vec* xr = in + (c*UH+h+i)*UW;
                            const vec* dr = d + (o*DH+h+B)*DW + B;
                            for (int w = 0; w < OW; w++)
                                UNROLL for (int u = 0; u < WCB; u++)
                                    UNROLL for (int j = 0; j < K; j++) s[u][j] += xr[w+j]*dr[u*DH*DW+w];
                        }
                        UNROLL for (int u = 0; u < WCB; u++)
                            UNROLL for (int j = 0; j < K; j++) sum[u*K+j] += s[u][j];
                    }
        }
    }

    // The same for a kernel of 1x1: of several channels in and out at a time, as each number is needed for all of them.
    static void mixing_sums(const vec* in, const vec* d, vec* sum, int rows) {
        constexpr int ib = block(CI, 4), ob = block(CO, REGISTERS/ib - 1);
        for (int h0 = 0; h0 < rows; h0 += ROWS) {
            int h1 = h0+ROWS < rows ? h0+ROWS : rows;
            for (int c = 0; c < CI; c += ib)
                for (int o = 0; o < CO; o += ob) {
                    vec s[ib][ob] = {};
                    for (int i = h0*OW; i < h1*OW; i++)
                        UNROLL for (int t = 0; t < ib; t++)
                            UNROLL for (int u = 0; u < ob; u++) s[t][u] += in[(c+t)*UC+i]*d[(o+u)*ZC+i];
                    UNROLL for (int t = 0; t < ib; t++)
                        UNROLL for (int u = 0; u < ob; u++) sum[(c+t)*CO+o+u] += s[t][u];
                }
        }
    }

    // The sums over images and threads, into the memory of torch.
    void weight_gradients() {
        for (int o = 0; o < CO; o++) {
            for (int c = 0; c < CI; c++) {
                double all = 0;
                for (int i = 0; i < K; i++)
                    for (int j = 0; j < K; j++) {
                        size_t at = ((size_t)(c*K+i)*(CO/WCB) + o/WCB)*WCB*K + o%WCB*K + j;
                        double s = 0;
                        for (int t = 0; t < threads; t++) s += total(dw[(size_t)t*(WS+CO)+at]);
                        if (AVG) all += s;
                        else gradients.w[((o*CI+c)*K+i)*K+j] = s;
                    }
                if (AVG) gradients.w[o*CI+c] = all/(K*K); // forward: each of K*K numbers is w/(K*K)
            }
            if (BIAS) {
                double s = 0;
                for (int t = 0; t < threads; t++) s += total(dw[(size_t)t*(WS+CO)+WS+o]);
                gradients.bias[o] = s;
            }
        }
        for (int i = 0; i < VS; i++) {
            double s = 0;
            for (int t = 0; t < threads; t++) s += total(dv[(size_t)t*VS+i]);
            gradients.depth[i] = s;
        }
    }

    // forward: z[o][h][w] = sum of w[o][c][i][j]*u[c][h+i][w+j] over c, i, j;
    // so backward: du[c][h][w] = sum of w[o][c][i][j]*dz[o][h-i][w-j] over o, i, j: again a convolution, of dz with
    // zeros around it by the kernel turned round. The border B = K-1-P leaves out the padding. out: [CI][IH][IW], the g
    // of the stage before.
    void input_gradient(int group, int thread, vec* out) {
        const vec* d = dz + (size_t)thread*ZS;
        if constexpr (ONE) { // dz is a single number for each channel: without the zeros that it is multiplied by
            for (int i = 0; i < CI*K*K; i++) {
                vec s{};
                for (int o = 0; o < CO; o++) s += d[(o*DH+B)*DW+B]*wb[i*CO+o];
                out[i] = s;
            }
        } else {
            Backward::run(d, wb, [=](int c, int place, int many, const vec* z) {
                for (int i = 0; i < many; i++) out[c*IH*IW + place + i] = z[i];
            });
        }
    }

    // All of this, from the gradient of y to that of x, for a deep stage, some rows after others.
    // forward, in each channel: u[h][w] = sum of v[i][j]*x[h+i][w+j] over i, j;
    // so backward: dv[i][j] = sum of x[h+i][w+j]*du[h][w] over images, h, w; dx[h][w] = sum of v[i][j]*du[h-i][w-j].
    void deep_gradients(int group, int thread, vec* out) {
        vec* d = du + (size_t)thread*ES;
        for (int h0 = 0, done = 0; h0 < OH; h0 += PART) {
            int h1 = h0+PART < OH ? h0+PART : OH;
            const vec* in = rows_of_x(group, thread, h0, h1);
            const vec* between = rows_of_u(in, thread, h1-h0);
            if constexpr (EARLY) {
                vec* again = r + (size_t)thread*RS;
                Forward::run(between, wf, [=](int c, int place, int many, const vec* sum) {
                    for (int i = 0; i < many; i++) again[c*RC + place + i] = activated(sum[i], c);
                }, h1-h0);
            }
            before_conv(group, thread, h0, h1);
            const vec* z = dz + (size_t)thread*ZS;
            mixing_sums(between, z, dw + (size_t)thread*(WS+CO), h1-h0);
            Backward::run(z, wb, [=](int c, int place, int many, const vec* sum) {
                vec* row = d + (c*EH + h0+place/UW + E)*EW + place%UW + E;
                for (int i = 0; i < many; i++) row[i] = sum[i];
            }, h1-h0);
            int end = h1 < OH ? h1+E-D+1 : IH; // rows of dx for which there is all of du
            if (end < done) end = done;
            for (int c = 0; c < CI; c++) {
                depth_sums(in + c*XC, d + (c*EH+h0)*EW, dv + (size_t)thread*VS + c*D*D, h1-h0);
                DeepBackward::run(d + (c*EH+done)*EW, vb + c*D*D, [=](int, int place, int many, const vec* sum) {
                    for (int i = 0; i < many; i++) out[(c*IH+done)*IW + place + i] = sum[i];
                }, end-done);
            }
            done = end;
        }
    }

    static void depth_sums(const vec* in, const vec* d, vec* sum, int rows) {
        for (int h0 = 0; h0 < rows; h0 += ROWS) {
            int h1 = h0+ROWS < rows ? h0+ROWS : rows;
            vec s[D*D+1] = {}; // a few rows are summed by themselves first, which rounds less
            for (int h = h0; h < h1; h++)
                for (int w = 0; w < UW; w++) {
                    vec v = d[(h+E)*EW + w+E];
                    UNROLL for (int i = 0; i < D; i++)
                        UNROLL for (int j = 0; j < D; j++) s[i*D+j] += in[(h+i)*W + w+j]*v;
                }
            UNROLL for (int i = 0; i < D*D; i++) sum[i] += s[i];
        }
    }
};

// ---------------------------------------------------------------------------------------------------------------------
// The network: each stage for all groups of images, then the next, because batch norm needs the sums over all of them

using Stages = std::tuple<STAGES>;
constexpr int COUNT = std::tuple_size_v<Stages>;
struct Net {
    Stages stages;
    int groups;  // of V images
    int threads;
};

template<class F, int... I> void all(Stages& s, F f, std::integer_sequence<int, I...>) { (f(std::get<I>(s), I), ...); }
template<class F> void all(Net* net, F f) { all(net->stages, f, std::make_integer_sequence<int, COUNT>()); }

template<int I> void makes(Net* net) {
    static_assert(I+1 < COUNT || !std::tuple_element_t<I,Stages>::EARLY, "the last stage pools nothing");
    auto& s = std::get<I>(net->stages);
    using S = std::remove_reference_t<decltype(s)>;
    if constexpr (I > 0 && S::deep && S::padding == 0) {
        auto& before = std::get<I-1>(net->stages);
        using Before = std::remove_reference_t<decltype(before)>;
        if (!Before::dropped && (Before::EARLY || !Before::pooling)) {
            s.source = Before::EARLY ? before.p : before.r;
            s.factor = before.a;
            s.offset = before.b;
        }
    }
    s.make(net->groups, net->threads, I);
    if constexpr (I+1 < COUNT) makes<I+1>(net);
}

template<int I> void forwards(Net* net, const float* x) { // x: [images][CI][H][W] of the first stage
    auto& s = std::get<I>(net->stages);
    using S = std::remove_reference_t<decltype(s)>;
    s.prepare();
    each(net->groups, net->threads, [&](int group, int thread) {
        vec* in = s.source ? nullptr : s.x + (size_t)group*S::XS;
        if constexpr (I == 0) s.read(x, group, in);
        else if (!s.source) std::get<I-1>(net->stages).output(group, in, S::padding, S::H*S::W);
        s.forward(group, thread);
    });
    s.statistics();
    if constexpr (I+1 < COUNT) forwards<I+1>(net, x);
}

template<int I> void backwards(Net* net) {
    auto& s = std::get<I>(net->stages);
    using S = std::remove_reference_t<decltype(s)>;
    static_assert(I > 0 || !S::deep, "the first stage has no gradient of its input to take along");
    s.gradient_factors();
    if constexpr (I > 0) std::get<I-1>(net->stages).clear_sums();
    each(net->groups, net->threads, [&](int group, int thread) {
        if constexpr (!S::deep) {
            s.before_conv(group, thread);
            s.weight_sums(group, thread);
        }
        if constexpr (I > 0) {
            auto& before = std::get<I-1>(net->stages);
            using Before = std::remove_reference_t<decltype(before)>;
            vec* gradient = before.g + (size_t)group*Before::GS;
            if constexpr (S::deep) s.deep_gradients(group, thread, gradient);
            else s.input_gradient(group, thread, gradient);
            if constexpr (Before::normed) before.gradient_sums(group, thread);
        }
    });
    s.weight_gradients();
    if constexpr (I > 0) backwards<I-1>(net);
}

// ---------------------------------------------------------------------------------------------------------------------
// What Python calls

extern "C" {

void destroy(Net* net) { delete net; }

// Room for a batch; 0 if there is no memory for it
Net* make(int images, int threads) {
    Net* net = nullptr;
    try {
        net = new Net{};
        net->groups = images/V;
        net->threads = threads;
        makes<0>(net);
    } catch (const std::bad_alloc&) {
        delete net;
        return nullptr;
    }
    return net;
}

// x: [images][channels][rows][columns]; logits: [images][classes]; weights, numbers: one for each stage
void forward(Net* net, const float* x, const Weights* weights, const Numbers* numbers, uint64_t seed, float* logits) {
    all(net, [&](auto& s, int i) {
        s.weights = weights[i];
        s.k = numbers[i];
        s.seed = seed;
    });
    forwards<0>(net, x);
    auto& last = std::get<COUNT-1>(net->stages);
    for (int group = 0; group < net->groups; group++)
        for (int c = 0; c < last.channels; c++)
            for (int i = 0; i < V; i++) logits[(size_t)(group*V+i)*last.channels+c] = last.r[group*last.RS+c][i];
}

// d: [images][classes], the gradient of the logits; gradients: one for each stage, written
void backward(Net* net, const float* d, const Gradients* gradients) {
    all(net, [&](auto& s, int i) { s.gradients = gradients[i]; });
    auto& last = std::get<COUNT-1>(net->stages);
    for (int group = 0; group < net->groups; group++)
        for (int c = 0; c < last.channels; c++)
            for (int i = 0; i < V; i++) last.g[group*last.RS+c][i] = d[(size_t)(group*V+i)*last.channels+c];
    backwards<COUNT-1>(net);
}

}
