"""Take the weights of runs into the package, where `mnist_learner(pretrained=True)` finds them."""
import argparse, json, shutil
from pathlib import Path

WEIGHTS = Path(__file__).resolve().parent.parent/'mnist_small'/'weights'


def take(path:str):
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
    (WEIGHTS/f'{name}.json').write_text(json.dumps(said, indent=1)+'\n')
    shutil.copyfile(run.path/'model.safetensors', WEIGHTS/f'{name}.safetensors')
    print(f'{name}: {100*said["accuracy"]:.2f} %')


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('runs', nargs='+', help='run folders, of seed 0')
    for o in p.parse_args().runs:
        take(o)


if __name__ == '__main__':
    main()
