"""Take the weights of runs into the package, where `mnist_learner(pretrained=True)` and `read_digit` find them.

Beside the weights go what they come from (.json) and the network as a graph (.onnx). `--onnx` writes the graphs of all
that is packaged anew; the name of a packaged network in place of a run does so for that one, with `--temperature` too.
"""
import argparse, json, shutil
from pathlib import Path

WEIGHTS = Path(__file__).resolve().parent.parent/'mnist_small'/'weights'


def write_record(name:str, said:dict):
    "Write what is told of packaged weights."
    (WEIGHTS/f'{name}.json').write_text(json.dumps(said, indent=1)+'\n')


def take(path:str) -> str: # The name that the weights get
    "Copy what the run in the folder `path` ended with, and write beside it what it comes from."
    from mnist_small.learner import pretrained_name
    from mnist_small.runs import Run
    run = Run(path)
    run.model() # raises `InputError` if the weights cannot be read
    told,name = run.record,pretrained_name(run.recipe)
    compile = {None:'', False:' --compile off'}.get(told['compile'], f" --compile {told['compile']}")
    said = dict(
        command=f"OMP_NUM_THREADS={told['machine']['threads']} mnist_small_train --iteration {run.iteration} "
                f"--seed {run.seed}{compile}",
        accuracy=run.accuracies[-1], train_accuracy=float(run.history['train_accuracy'].iloc[-1]),
        **{k:told[k] for k in ('iteration', 'seed', 'epochs', 'parameters', 'recipe', 'versions', 'machine')},
        data={k:v for k,v in run.data.items() if k != 'origin'}) # a folder on one's own machine
    WEIGHTS.mkdir(exist_ok=True)
    write_record(name, said)
    shutil.copyfile(run.path/'model.safetensors', WEIGHTS/f'{name}.safetensors')
    print(f'{name}: {100*said["accuracy"]:.2f} %')
    return name


def complete(name:str, temperature:float|None=None):
    "Write the graph of packaged weights, once they have the `temperature`, if one is given."
    from mnist_small.export import export_model
    from mnist_small.files import Range, checked_number
    from mnist_small.packaged import pretrained_record
    if temperature is not None:
        temperature = checked_number('temperature', temperature, Range(above=True))
        write_record(name, {**pretrained_record(name), 'temperature':temperature})
    file = export_model(name, WEIGHTS/f'{name}.onnx', force=True)
    print(f'{file.name}: {file.stat().st_size:,} bytes')


def main():
    from mnist_small.packaged import packaged_name, packaged_names
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('runs', nargs='*', help='run folders, of seed 0, or names of packaged networks')
    p.add_argument('--onnx', action='store_true', help='write the graphs of all that is packaged anew')
    p.add_argument('--temperature', type=float, help="what the logits of those that are named are divided by "
                   "(default: 1 for a run's, as it was for a packaged one)")
    args = p.parse_args()
    if not (args.runs or args.onnx):
        p.error('name runs or packaged networks, or ask for --onnx')
    if args.temperature is not None and not args.runs:
        p.error('--temperature is for networks that are named')
    for o in args.runs:
        complete(o if not Path(o).exists() and packaged_name(o) == o else take(o), args.temperature)
    for o in packaged_names() if args.onnx else []:
        complete(o)


if __name__ == '__main__':
    main()
