"""What packaged networks read and how long they take, through fastai, torch, ONNX and C, floats and eight bits.

The reference is what validation computes: `mnist_learner(…, pretrained=True).get_preds()`, without a temperature, and
so are the exports here. Accuracy, probabilities and digits are those of all test images. Latencies are medians, in
turn: of single images, and of all of them in one call (C: one after the other). ONNX needs the package of that name, C
a compiler; what is missing is skipped by name.
"""
import ctypes
import statistics
import subprocess
import tempfile
from pathlib import Path

from benchmarks.turns import parser, report, seconds_of, versions

FLAGS = '-std=c99', '-O3'
"How C is compiled for the timings: for any machine of the kind, not for this one."
SINGLES = 50 # single images to a round


def fastai_way(learn, images):
    "One image through `predict`, all through `get_preds`."
    def one(i):
        return learn.predict(images.x_test[i])

    def many():
        return learn.get_preds()[0].numpy()
    return one, many


def torch_way(model:str, power, images):
    "The plain network, with what comes before it and after it."
    import torch
    from mnist_small.folding import network_input
    from mnist_small.models import load_network
    net = load_network(model)

    def read(x):
        with torch.inference_mode():
            return net(network_input(x, power)).softmax(1).numpy()
    return lambda i: read(images.x_test[i:i+1]), lambda: read(images.x_test)


def onnx_way(file:Path, images):
    "The graph in onnxruntime, with as many threads as torch has."
    import torch
    from mnist_small.answer import onnx_session
    session = onnx_session(file.read_bytes(), torch.get_num_threads())
    x = images.x_test.numpy()

    def read(x):
        return session.run(None, {'pixels':x})[0]
    return lambda i: read(x[i:i+1]), lambda: read(x)


def c_way(file:Path, images):
    "The function of a C file, compiled to a library, called once for each image."
    import numpy as np
    from mnist_small.c_source import c_compiler
    library = file.with_suffix('.so')
    subprocess.run([*c_compiler(), *FLAGS, '-shared', '-fPIC', str(file), '-lm', '-o', str(library)], check=True)
    f = ctypes.CDLL(str(library)).digit_probabilities
    f.argtypes,f.restype = [ctypes.c_void_p]*2,None
    x = np.ascontiguousarray(images.x_test.numpy())
    out = np.empty((len(x), 10), np.float32)
    start,end = x.ctypes.data,out.ctypes.data

    def one(i):
        f(start+784*i, end+40*i)

    def many():
        for i in range(len(x)):
            one(i)
        return out.copy()
    return one, many


def ways(model:str, images, folder:Path) -> tuple: # Functions for one and for all images, by name; bytes, by name
    "All ways that this machine has."
    from mnist_small.c_source import c_compiler, section_bytes
    from mnist_small.export import export_model
    from mnist_small.files import InputError
    from mnist_small.learner import mnist_learner
    from mnist_small.loader import mnist_dls
    from mnist_small.packaged import pretrained_record
    learn = mnist_learner(pretrained_record(model)['iteration'], mnist_dls(images=images), pretrained=True)
    found = {'fastai':fastai_way(learn, images), 'torch':torch_way(model, learn.recipe.moment_norm, images)}
    sizes = {'torch':export_model(model, folder/'digit.safetensors', temperature=1).stat().st_size}
    try:
        file = export_model(model, folder/'digit.onnx', temperature=1)
        found['ONNX'],sizes['ONNX'] = onnx_way(file, images),file.stat().st_size
    except InputError as e:
        print(f'ONNX is skipped: {e}')
    for name,options in {'C float':{}, 'C int8':dict(int8=True, images=images)}.items() if c_compiler() else ():
        file = export_model(model, folder/f'{name.split()[1]}.c', temperature=1, **options)
        found[name],sizes[name] = c_way(file, images),section_bytes(file.read_text(), 'text|rodata')
    if not c_compiler():
        print('C is skipped: there is no compiler')
    return learn, found, sizes


def agreement(found:dict, images) -> dict: # By name
    "Accuracy, and how far probabilities and digits are from those of the first way."
    labels,want,out = images.y_test.numpy(),None,{}
    for name,(_,many) in found.items():
        got = many()
        want = got if want is None else want
        off,digits = abs(got.astype('f8')-want),got.argmax(1)
        out[name] = dict(accuracy=float((digits == labels).mean()), mean_difference=float(off.mean()),
                         largest_difference=float(off.max()), same_digit=float((digits == want.argmax(1)).mean()))
    return out


def latencies(found:dict, rounds:int) -> dict: # Seconds for one image and for all, by name
    "Medians over all rounds, in which the ways take turns."
    seconds = {o:dict(one=[], all=[]) for o in found}
    for _ in range(rounds):
        for name,(one,many) in found.items():
            one(0)
            seconds[name]['one'] += [seconds_of(lambda i=i, one=one: one(i)) for i in range(SINGLES)]
            seconds[name]['all'].append(seconds_of(many))
    return {k:{n:statistics.median(o) for n,o in v.items()} for k,v in seconds.items()}


def table(agreed:dict, seconds:dict, sizes:dict, n:int) -> list:
    "A row for each way."
    rows = ['| | accuracy | mean difference | largest | same digit | bytes | one image | '
            f'{n:,} images |', '| --- |'+' ---: |'*7]
    for k,o in agreed.items():
        one,many = seconds[k]['one'],seconds[k]['all']
        size = f'{sizes[k]:,}' if sizes.get(k) else ''
        rows.append(f'| {k} | {100*o["accuracy"]:.2f} % | {o["mean_difference"]:.1e} | {o["largest_difference"]:.1e} | '
                    f'{100*o["same_digit"]:.2f} % | {size} | {1e3*one:.3f} ms | {1e3*many:.0f} ms |')
    return rows


def measured(name:str, images, rounds:int) -> dict:
    "One network: what its ways agree in, their seconds and bytes."
    with tempfile.TemporaryDirectory() as tmp:
        learn,found,sizes = ways(name, images, Path(tmp))
        with learn.no_bar(), learn.no_logging():
            agreed = agreement(found, images)
            seconds = latencies(found, rounds)
    print('\n'.join(['', f'{name}:', '', *table(agreed, seconds, sizes, len(images.x_test))]), flush=True)
    return dict(agreement=agreed, seconds=seconds, bytes=sizes)


def main():
    p = parser(__doc__, 'exports', 5, unit='rounds')
    p.add_argument('networks', nargs='*', help='packaged weights (default: all)')
    args = p.parse_args()
    import torch
    from mnist_small.images import load_images
    from mnist_small.packaged import packaged_names
    images = load_images(args.data)
    found = {o:measured(o, images, args.rounds) for o in args.networks or packaged_names()}
    print(f'\n{torch.get_num_threads()} threads for fastai, torch and ONNX, one for C ({" ".join(FLAGS)}); bytes: the '
          f'file, of C the code and constants as -Os makes them\n{versions()}')
    report(args, rounds=args.rounds, data=images.info['source'], threads=torch.get_num_threads(), flags=FLAGS,
           networks=found)


if __name__ == '__main__':
    main()
