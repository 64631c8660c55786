"""The model cards: what each set of packaged weights is for, what it was trained on, and how well it reads.

Every figure comes from a file: `mnist_small/weights/NAME.json`, and what `results/` holds of its sweep, of other
people's digits, of calibration and of exports. Written to `mnist_small/weights/NAME.md`, which the package ships.

    python -m benchmarks.cards
"""
import argparse
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT/'results'


def results(name:str) -> dict:
    "A file of results, empty where it is not there."
    path = RESULTS/f'{name}.json'
    return json.loads(path.read_text()) if path.exists() else {}


def sweep(name:str) -> str:
    "What the sweep of a recipe came to."
    from mnist_small.evidence import read_sweep, summary_sentence, sweep_summary
    path = RESULTS/f'{name}.csv'
    if not path.exists():
        return ''
    return f'The recipe: {summary_sentence(sweep_summary(read_sweep(path)[1]))}.'


def strangers(name:str) -> list: # Lines
    "What networks of this recipe read of other people's digits."
    found = {k:v for k,v in results('strangers').get('accuracy', {}).items() if Path(k).parent.name == name}
    if not found:
        return []
    mean = {o:sum(v[o] for v in found.values())/len(found) for o in next(iter(found.values()))}
    least = {o:min(v[o] for v in found.values()) for o in mean}
    rows = [f'| {o} | {100*v:.2f} % | {100*least[o]:.2f} % |' for o,v in mean.items()]
    return ['', f'Digits of others, framed as MNIST\'s are; {len(found)} seeds:', '',
            '| | mean | least |', '| --- | ---: | ---: |', *rows]


def calibration(name:str) -> list: # Lines
    "How far its probabilities are off."
    found = [o for o in results('calibration').get('rows', ()) if o['network'] == name]
    if not found:
        return ['Not measured: the probabilities are those of the last layer.']
    rows = [f'| {o["digits"]} | {100*o["error_before"]:.2f} | {100*o["error_after"]:.2f} | {100*o["sure"]:.1f} % | '
            f'{100*o["right_if_sure"]:.2f} % |' for o in found]
    return [f'Logits are divided by {found[0]["temperature"]:.3f} in `read_digit` and in every export; that comes from '
            f'runs with images held out. Expected calibration error, in points, before and after, and digits that are '
            f'read surely (with {results("calibration")["sure"]} or more):', '',
            '| | before | after | sure | right of these |', '| --- | ---: | ---: | ---: | ---: |', *rows]


def no_digits(name:str) -> list: # Lines
    "How often something else is taken for a digit."
    found = results('no_digits')
    if found.get('model') != name:
        return []
    return [f'- {o["pictures"]:,} {k}: {100*o["refused"]:.0f} % are refused, and {100*o["sure"]:.0f} % are taken for a '
            f'digit surely.' for k,o in found['kinds'].items()]


def sizes(name:str) -> str:
    "How many bytes it has."
    folder = ROOT/'mnist_small'/'weights'
    said = [f'{(folder/f"{name}.{o}").stat().st_size:,} bytes ({o})' for o in ('safetensors', 'onnx')
            if (folder/f'{name}.{o}').exists()]
    return ', '.join(said)


def seconds(o:float) -> str:
    return f'{1e3*o:.3g} ms' if o < 1 else f'{o:.3g} s'


def latency(name:str) -> list: # Lines
    "How long reading takes."
    found = results('exports')
    own = found.get('networks', {}).get(name)
    if own is None:
        return []
    rows = [f'| {k} | {seconds(o["one"])} | {seconds(o["all"])} |' for k,o in own['seconds'].items()]
    return ['', f'{found["machine"]["processor"]}, {found["threads"]} threads (C: one):', '',
            '| | one image | 10,000 images |', '| --- | ---: | ---: |', *rows]


def card(name:str) -> str:
    "The card of one set of weights."
    from mnist_small.packaged import pretrained_record
    told = pretrained_record(name)
    recipe,data = told['recipe'],told['data']
    changed = {k:v for k,v in recipe.items() if k in (
        'moment_norm', 'max_rotate', 'max_shift', 'max_scale', 'max_shear', 'thicken', 'thin') and v}
    lines = [
        f'# Model card: {name}', '',
        f'{told["parameters"]:,} parameters ({recipe["model"]}), {sizes(name)}. Written by `python -m '
        'benchmarks.cards`.', '', '## Use and limits', '',
        'It says which of the digits 0 to 9 a picture of one handwritten digit shows. '
        f'`read_digit(picture, model={name!r})` prepares the picture; the network itself takes 28×28 grey values in '
        'MNIST\'s form.', '',
        '- It has no answer for what is no digit: it names one for letters and scribbles too.',
        '- One digit to a picture. Numbers have to be cut apart first.',
        '- Handwriting of employees of the American Census Bureau and of high school students (NIST\'s SD-3 and SD-1). '
        'People elsewhere write some digits in other ways, and other scripts have others.',
        '- Not for decisions about people or money without somebody who looks again.', *no_digits(name), '',
        '## Data and licences', '',
        f'Trained on the {data["training_images"]:,} training images of MNIST (LeCun, Cortes and Burges 1998; CC '
        'BY-SA 3.0) and nothing else. Weights and code: Apache 2.0. USPS (Hull 1994) and scikit-learn\'s digits '
        '(Alpaydin and Kaynak 1998; CC BY 4.0) were read, not trained on.', '',
        '## Training', '',
        f'`{told["command"]}`: {told["epochs"]} epochs, seed {told["seed"]}, batches of {recipe["bs"]}, '
        f'{recipe["opt"]}, learning rate {recipe["lr"]:g}. Images: '
        f'{", ".join(f"{k} {v:g}" for k,v in changed.items()) or "as they are"}.' +
        (f' Beside the labels it learned what `{recipe["teacher"]}` says.' if recipe.get('teacher') else ''), '',
        '## How well it reads', '',
        f'These weights: {100*told["accuracy"]:.2f} % of MNIST\'s test images. {sweep(name)}', *strangers(name), '',
        '## Probabilities', '', *calibration(name), '',
        '## Bytes and time', '', sizes(name)+'.', *latency(name), '']
    return '\n'.join(lines)


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    from mnist_small.packaged import packaged_names
    for o in packaged_names():
        (ROOT/'mnist_small'/'weights'/f'{o}.md').write_text(card(o))
        print(f'mnist_small/weights/{o}.md')


if __name__ == '__main__':
    main()
