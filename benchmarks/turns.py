"Trainings, each in a process of its own, that run an epoch in turn, so that a drifting machine treats all alike."
import argparse, json, multiprocessing, time
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

BS = 128
PACKAGES = ('torch', 'torchvision', 'fastai', 'lightning', 'keras', 'jax')


def versions() -> dict:
    "Versions of the packages that are compared, where installed."
    out = {}
    for o in PACKAGES:
        try: out[o] = version(o)
        except PackageNotFoundError: out[o] = None
    return out


def few(data:str, share:int=4):
    "The images that `data` names, every `share`-th of them."
    from mnist_small.data import load_images
    o = load_images(data)
    return replace(o, **{k:getattr(o, k)[::share] for k in ('x_train','y_train','x_test','y_test')})


def epochs_of(learn):
    "A function that trains and validates an epoch of `learn`, silently."
    def epoch():
        with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(1)
    return epoch


def _serve(setup, args, pipe):
    "In a process of its own: set up, warm up, then run an epoch whenever asked."
    import warnings
    warnings.simplefilter('ignore')
    epoch = setup(*args)
    epoch()
    pipe.send('ready')
    while pipe.recv():
        start = time.perf_counter()
        epoch()
        pipe.send(time.perf_counter()-start)


def in_turn(
    setups:dict, # By name, a function that returns a function to time, and its arguments
    rounds:int # How often each is timed
) -> dict: # Seconds, by name
    "Time what each of `setups` prepares, in turn. A process that ends early raises `EOFError`."
    ctx,pipes,processes = multiprocessing.get_context('spawn'),{},[]
    try:
        for name,(setup,*args) in setups.items():
            pipes[name],theirs = ctx.Pipe()
            processes.append(ctx.Process(target=_serve, args=(setup, args, theirs), daemon=True))
            processes[-1].start()
            theirs.close()
            pipes[name].recv()
            print(f'ready: {name}', flush=True)
        seconds = {o:[] for o in setups}
        for i in range(rounds):
            for name,pipe in pipes.items():
                pipe.send(True)
                seconds[name].append(pipe.recv())
            print(f'round {i+1} of {rounds}', flush=True)
        return seconds
    finally:
        for o in processes: o.terminate()


def arguments(doc:str, prog:str, rounds:int, unit:str='short epochs of each'):
    "The command line that the benchmarks by turns share."
    p = argparse.ArgumentParser(prog=f'python -m benchmarks.{prog}', description=doc.splitlines()[0])
    p.add_argument('--rounds', type=int, default=rounds, help=f'{unit}, in turn (default: {rounds})')
    p.add_argument('--data', default='auto', help='auto, mnist, digits, or a folder with the four MNIST files')
    p.add_argument('--json', type=Path, help='also write everything measured to this file')
    return p.parse_args()


def report(args, **measured):
    "Write what was measured, with machine and versions, if `--json` says where."
    if not args.json: return
    from mnist_small.runs import machine_info
    args.json.write_text(json.dumps(dict(machine=machine_info(), versions=versions(), **measured), indent=1)+'\n')
