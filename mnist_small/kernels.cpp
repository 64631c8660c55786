// Forward and backward pass of a small convolutional network, for batches of a fixed size.
//
// Images lie side by side in vectors: a tensor is [group of images][channel][row][column][image of the group], so that
// every arithmetic operation works on as many images as fit in a register, whatever the number of channels.
// STAGES, given on the compiler's command line, lists the parts of the network, each a Stage<...>; nothing else in here
// depends on the network. OpenMP comes from torch, which has it loaded, so that both share their threads.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <cmath>
#include <tuple>
#include <utility>

extern "C" int omp_get_thread_num();
extern "C" int omp_get_num_threads();

#ifdef __AVX512F__
constexpr int V = 16, REGISTERS = 24; // images in a vector; vectors that hold sums in an inner loop
#else
constexpr int V = 8, REGISTERS = 12;
#endif
typedef float vec __attribute__((vector_size(4*V)));
typedef uint32_t bits __attribute__((vector_size(4*V)));
#define UNROLL _Pragma("GCC unroll 32")

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

template<class F> void each(int n, int threads, F f) { // f(group, thread) for n groups
    #pragma omp parallel num_threads(threads)
    {
        int t = omp_get_thread_num(), nt = omp_get_num_threads();
        for (int g = t*n/nt; g < (t+1)*n/nt; g++) f(g, t);
    }
}

template<class T> T* allocate(size_t n) {
    void* p = std::aligned_alloc(64, (n*sizeof(T)+63)/64*64);
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
        s ^= s << 13; s ^= s >> 17; s ^= s << 5;
        return s >= below ? vec{}+scale : vec{};
    }
};

// The convolution at OH x OW places of x, [CI][H][W]; w is [block of CB channels][CI][K][K][CB]. out(channel, place,
// number of places, sums) takes the sums for places that are neighbours in a row.
template<int CI, int H, int W, int CO, int K> struct Conv {
    static constexpr int OH = H-K+1, OW = W-K+1, CB = block(CO, 6), WB = REGISTERS/CB;
    template<int N, class Out> static inline void tile(const vec* x, const float* w, int c0, int h, int w0, Out out) {
        vec sum[CB][N] = {};
        for (int ci = 0; ci < CI; ci++)
            for (int i = 0; i < K; i++) {
                const vec* row = x + (ci*H+h+i)*W + w0;
                const float* k = w + (ci*K+i)*K*CB;
                UNROLL for (int j = 0; j < K; j++)
                    UNROLL for (int c = 0; c < CB; c++) {
                        vec f = vec{} + k[j*CB+c];
                        UNROLL for (int b = 0; b < N; b++) sum[c][b] += row[j+b]*f;
                    }
            }
        UNROLL for (int c = 0; c < CB; c++) out(c0+c, h*OW+w0, N, sum[c]);
    }
    template<class Out> static void run(const vec* x, const float* w, Out out) {
        for (int c0 = 0; c0 < CO; c0 += CB, w += CI*K*K*CB)
            for (int h = 0; h < OH; h++) {
                int w0 = 0;
                for (; w0+WB <= OW; w0 += WB) tile<WB>(x, w, c0, h, w0, out);
                if constexpr (OW%WB != 0) tile<OW%WB>(x, w, c0, h, w0, out);
            }
    }
};

struct Pointers { // of one stage, into the memory of torch
    float *w, *b, *gamma, *beta, *mean, *var;
    int64_t *seen;
    float *dw, *db, *dgamma, *dbeta;
};
struct Numbers { float momentum, eps, p; int32_t training; }; // if not, batch norm uses its running statistics

// A convolution and what follows it: ReLU, batch norm, 2x2 max-pooling, dropout. If AVG, the kernel has one weight for
// each pair of channels, and the stage is average pooling followed by a convolution of 1x1.
template<int CI, int IH, int IW, int CO, int K, int P, bool BIAS, bool RELU, bool BN, bool POOL, bool DROP, bool AVG>
struct Stage {
    static constexpr int H = IH+2*P, W = IW+2*P, OH = H-K+1, OW = W-K+1, B = K-1-P, DH = OH+2*B, DW = OW+2*B;
    static constexpr int PH = POOL ? OH/2 : OH, PW = POOL ? OW/2 : OW; // of the output
    static constexpr int XS = CI*H*W, RS = CO*OH*OW, GS = CO*PH*PW, WS = CO*CI*K*K, channels = CO, padding = P;
    static constexpr bool ONE = OH == 1 && OW == 1, normed = BN;
    static constexpr int WCB = block(CO, (REGISTERS-6)/K), ROWS = OW >= 48 ? 1 : 48/OW;
    using Forward = Conv<CI,H,W,CO,K>;
    using Backward = Conv<CO,DH,DW,CI,K>;
    vec *x, *r, *g, *dz, *dw; // input, after ReLU, gradient of the output; for each thread, before ReLU and of weights
    double *sums; // of each channel, two for each thread
    alignas(64) float wf[WS], wb[WS];
    float bias[CO], gamma[CO], mean[CO], rstd[CO], a[CO], b[CO], shift[CO], ga[CO], gb[CO], gc[CO];
    Pointers p; Numbers k; uint64_t seed; int index, n, threads;

    void make(int groups, int nt, int i) {
        n = groups; threads = nt; index = i;
        x = allocate<vec>((size_t)n*XS); r = allocate<vec>((size_t)n*RS); g = allocate<vec>((size_t)n*GS);
        dz = allocate<vec>((size_t)nt*CO*DH*DW); dw = allocate<vec>((size_t)nt*(WS+CO));
        sums = allocate<double>((size_t)nt*2*CO);
    }
    void free() {
        for (vec* o : {x, r, g, dz, dw}) std::free(o);
        std::free(sums);
    }
    void clear_sums() { std::memset(sums, 0, sizeof(double)*threads*2*CO); }
    void add_sums(int thread, const vec* s) { for (int i = 0; i < 2*CO; i++) sums[thread*2*CO+i] += total(s[i]); }
    double sum(int channel, int which) { // over the threads
        double s = 0;
        for (int t = 0; t < threads; t++) s += sums[(t*CO+channel)*2+which];
        return s;
    }

    void prepare() { // weights in the order in which they are used
        constexpr int cb = Forward::CB, ib = Backward::CB;
        for (int o = 0; o < CO; o++)
            for (int c = 0; c < CI; c++)
                for (int i = 0; i < K*K; i++) {
                    float v = AVG ? p.w[o*CI+c]/(K*K) : p.w[(o*CI+c)*K*K+i];
                    wf[((o/cb*CI+c)*K*K+i)*cb + o%cb] = v;
                    if (ONE) wb[(c*K*K+i)*CO + o] = v;
                    else wb[((c/ib*CO+o)*K*K + K*K-1-i)*ib + c%ib] = v;
                }
        for (int o = 0; o < CO; o++) {
            bias[o] = BIAS ? p.b[o] : 0;
            shift[o] = BN ? p.mean[o] : 0; // near the mean, so that little is lost in differences
        }
        clear_sums();
    }
    void forward(int group, int thread) {
        vec *out = r + (size_t)group*RS, s[2*CO] = {};
        Forward::run(x + (size_t)group*XS, wf, [&](int c, int place, int many, const vec* z) {
            vec one{}, two{}, off = vec{} + shift[c];
            for (int i = 0; i < many; i++) {
                vec v = z[i] + bias[c];
                if (RELU) v = v > 0 ? v : vec{};
                out[c*OH*OW + place + i] = v;
                if (BN) { v -= off; one += v; two += v*v; }
            }
            if (BN) { s[2*c] += one; s[2*c+1] += two; }
        });
        if (BN) add_sums(thread, s);
    }
    void statistics() {
        double count = (double)n*V*OH*OW;
        for (int c = 0; c < CO; c++) {
            if (!BN) { a[c] = 1; b[c] = 0; continue; }
            double one = sum(c, 0)/count, two = sum(c, 1)/count - one*one, m = shift[c]+one, var = two > 0 ? two : 0;
            if (!k.training) { m = p.mean[c]; var = p.var[c]; }
            mean[c] = m; rstd[c] = 1/std::sqrt(var+k.eps); gamma[c] = p.gamma[c];
            a[c] = p.gamma[c]*rstd[c]; b[c] = p.beta[c] - m*a[c];
            if (!k.training) continue;
            p.mean[c] += k.momentum*(m-p.mean[c]);
            p.var[c] += k.momentum*(var*count/(count-1)-p.var[c]);
        }
        if (BN && k.training) ++*p.seen;
    }
    template<class F> void outputs(int group, F f) { // f(channel, place in the output, places in r, factor of dropout)
        Random random(seed, index, group);
        uint32_t below = (uint32_t)((double)k.p*4294967296.);
        float scale = DROP ? 1/(1-k.p) : 1;
        for (int c = 0; c < CO; c++)
            for (int h = 0; h < PH; h++)
                for (int w = 0; w < PW; w++) {
                    int from = c*OH*OW + (POOL ? 2*h*OW+2*w : h*OW+w);
                    f(c, h, w, from, DROP ? random.factor(below, scale) : vec{}+1.f);
                }
    }
    static vec most(const vec* r, float a) { // of four neighbours that which is largest when multiplied by a
        vec v = r[0];
        for (vec o : {r[1], r[OW], r[OW+1]}) v = (a > 0 ? o > v : o < v) ? o : v;
        return v;
    }
    void output(int group, vec* y, int pad, int size) { // batch norm, pooling, dropout into channels of `size` places
        const vec* from = r + (size_t)group*RS;
        int wide = PW+2*pad;
        outputs(group, [=](int c, int h, int w, int i, vec f) {
            vec v = POOL ? most(from+i, a[c]) : from[i];
            v = v*a[c] + b[c];
            y[c*size + (h+pad)*wide + w+pad] = DROP ? v*f : v;
        });
    }
    void gradient_sums(int group, int thread) { // of batch norm's shift and scale
        const vec *from = r + (size_t)group*RS, *grad = g + (size_t)group*GS;
        vec s[2*CO] = {};
        outputs(group, [&](int c, int h, int w, int i, vec f) {
            vec v = POOL ? most(from+i, a[c]) : from[i], d = grad[(c*PH+h)*PW+w];
            if (DROP) d *= f;
            s[2*c] += d; s[2*c+1] += d*(v-mean[c]);
        });
        add_sums(thread, s);
    }
    void gradient_factors() {
        double count = (double)n*V*OH*OW;
        for (int c = 0; c < CO; c++) {
            if (!BN) { ga[c] = 1; gb[c] = gc[c] = 0; continue; }
            double one = sum(c, 0), two = sum(c, 1)*rstd[c];
            p.dbeta[c] = one; p.dgamma[c] = two;
            ga[c] = gamma[c]*rstd[c];
            gb[c] = -ga[c]*rstd[c]*two/count;
            gc[c] = -ga[c]*one/count - (double)gb[c]*mean[c];
        }
        std::memset(dw, 0, sizeof(vec)*threads*(WS+CO));
    }
    void before_conv(int group, int thread) { // the gradient of what the convolution gives
        const vec *from = r + (size_t)group*RS, *grad = g + (size_t)group*GS;
        vec *to = dz + (size_t)thread*CO*DH*DW, *db = dw + (size_t)thread*(WS+CO) + WS;
        auto put = [=](int c, int h, int w, vec v, vec d) {
            if (BN) d = d*ga[c] + v*gb[c] + gc[c];
            if (RELU) d = v > 0 ? d : vec{};
            to[(c*DH+h+B)*DW+w+B] = d;
            if (BIAS) db[c] += d;
        };
        outputs(group, [=](int c, int h, int w, int i, vec f) {
            vec d = grad[(c*PH+h)*PW+w];
            if (DROP) d *= f;
            if constexpr (POOL) {
                vec m = most(from+i, a[c]);
                for (int u = 0; u < 2; u++)
                    for (int l = 0; l < 2; l++) {
                        vec v = from[i+u*OW+l], share = v == m ? d : vec{};
                        d -= share;
                        put(c, 2*h+u, 2*w+l, v, share);
                    }
            } else put(c, h, w, from[i], d);
        });
    }
    void weights(int group, int thread) { // adds to the gradient of the weights, [CI][K][block][WCB][K]
        const vec *in = x + (size_t)group*XS, *d = dz + (size_t)thread*CO*DH*DW;
        for (int h0 = 0; h0 < OH; h0 += ROWS) {
            vec* sum = dw + (size_t)thread*(WS+CO);
            int h1 = h0+ROWS < OH ? h0+ROWS : OH;
            for (int c = 0; c < CI; c++)
                for (int i = 0; i < K; i++)
                    for (int o = 0; o < CO; o += WCB, sum += WCB*K) {
                        vec s[WCB][K] = {}; // summed by itself first, which rounds less
                        for (int h = h0; h < h1; h++) {
                            const vec *xr = in + (c*H+h+i)*W, *dr = d + (o*DH+h+B)*DW + B;
                            for (int w = 0; w < OW; w++)
                                UNROLL for (int u = 0; u < WCB; u++)
                                    UNROLL for (int j = 0; j < K; j++) s[u][j] += xr[w+j]*dr[u*DH*DW+w];
                        }
                        UNROLL for (int u = 0; u < WCB; u++) UNROLL for (int j = 0; j < K; j++) sum[u*K+j] += s[u][j];
                    }
        }
    }
    void input_gradient(int thread, vec* out) { // [CI][IH][IW]
        const vec* d = dz + (size_t)thread*CO*DH*DW;
        if constexpr (ONE) {
            for (int i = 0; i < CI*K*K; i++) {
                vec s{};
                for (int o = 0; o < CO; o++) s += d[(o*DH+B)*DW+B]*wb[i*CO+o];
                out[i] = s;
            }
        } else Backward::run(d, wb, [=](int c, int place, int many, const vec* z) {
            for (int i = 0; i < many; i++) out[c*IH*IW + place + i] = z[i];
        });
    }
    void weight_gradients() {
        for (int o = 0; o < CO; o++) {
            for (int c = 0; c < CI; c++) {
                double all = 0;
                for (int i = 0; i < K; i++)
                    for (int j = 0; j < K; j++) {
                        double s = 0;
                        size_t at = ((size_t)(c*K+i)*(CO/WCB) + o/WCB)*WCB*K + o%WCB*K + j;
                        for (int t = 0; t < threads; t++) s += total(dw[(size_t)t*(WS+CO)+at]);
                        if (AVG) all += s; else p.dw[((o*CI+c)*K+i)*K+j] = s;
                    }
                if (AVG) p.dw[o*CI+c] = all/(K*K);
            }
            if (BIAS) {
                double s = 0;
                for (int t = 0; t < threads; t++) s += total(dw[(size_t)t*(WS+CO)+WS+o]);
                p.db[o] = s;
            }
        }
    }
};

using Stages = std::tuple<STAGES>;
constexpr int COUNT = std::tuple_size_v<Stages>;
struct Net { Stages stages; int groups, threads; };

template<class F, int... I> void all(Stages& s, F f, std::integer_sequence<int, I...>) { (f(std::get<I>(s), I), ...); }
template<class F> void all(Net* net, F f) { all(net->stages, f, std::make_integer_sequence<int, COUNT>()); }

template<int I> void forwards(Net* net, const float* x) {
    auto& s = std::get<I>(net->stages);
    using S = std::remove_reference_t<decltype(s)>;
    s.prepare();
    each(net->groups, net->threads, [&](int g, int t) {
        vec* in = s.x + (size_t)g*S::XS;
        if constexpr (I > 0) std::get<I-1>(net->stages).output(g, in, S::padding, S::H*S::W);
        else for (int i = 0; i < S::XS; i++) for (int l = 0; l < V; l++) in[i][l] = x[(size_t)(g*V+l)*S::XS+i];
        s.forward(g, t);
    });
    s.statistics();
    if constexpr (I+1 < COUNT) forwards<I+1>(net, x);
}

template<int I> void backwards(Net* net) {
    auto& s = std::get<I>(net->stages);
    s.gradient_factors();
    if constexpr (I > 0) {
        auto& q = std::get<I-1>(net->stages);
        q.clear_sums();
    }
    each(net->groups, net->threads, [&](int g, int t) {
        s.before_conv(g, t);
        s.weights(g, t);
        if constexpr (I > 0) {
            auto& q = std::get<I-1>(net->stages);
            s.input_gradient(t, q.g + (size_t)g*q.GS);
            if constexpr (q.normed) q.gradient_sums(g, t);
        }
    });
    s.weight_gradients();
    if constexpr (I > 0) backwards<I-1>(net);
}

extern "C" {
int lanes() { return V; }
void* make(int images, int threads) {
    Net* net = new Net;
    net->groups = images/V; net->threads = threads;
    all(net, [&](auto& s, int i) { s.make(net->groups, threads, i); });
    return net;
}
void destroy(Net* net) { all(net, [](auto& s, int) { s.free(); }); delete net; }
// x (images,channels,rows,columns); logits (images,classes)
void forward(Net* net, const float* x, const Pointers* p, const Numbers* k, uint64_t seed, float* logits) {
    all(net, [&](auto& s, int i) { s.p = p[i]; s.k = k[i]; s.seed = seed; });
    forwards<0>(net, x);
    auto& last = std::get<COUNT-1>(net->stages);
    for (int g = 0; g < net->groups; g++)
        for (int c = 0; c < last.channels; c++)
            for (int l = 0; l < V; l++) logits[(size_t)(g*V+l)*last.channels+c] = last.r[g*last.RS+c][l];
}
void backward(Net* net, const float* d, const Pointers* p) { // d: the gradient of the logits
    all(net, [&](auto& s, int i) { s.p = p[i]; });
    auto& last = std::get<COUNT-1>(net->stages);
    for (int g = 0; g < net->groups; g++)
        for (int c = 0; c < last.channels; c++)
            for (int l = 0; l < V; l++) last.g[g*last.RS+c][l] = d[(size_t)(g*V+l)*last.channels+c];
    backwards<COUNT-1>(net);
}
}
