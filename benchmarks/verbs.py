"""What is known to break on graphics cards, each a function of a `Bench` (see `benchmarks.gpu`) that raises if it does.

Losses and predictions belong on the CPU, where matplotlib and scikit-learn want them; generators on the device whose
numbers they draw, and as the caller left them.
"""
import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout


def plot_loss(b):
    b.trained().recorder.plot_loss()


def lr_find(b):
    learn = b.learner()
    learn.lr_find(num_it=40)
    learn.fit_one_cycle(1)


def show_graph(b):
    from fastai.callback.progress import ShowGraphCallback
    b.trained(cbs=ShowGraphCallback())


def plot_filters(b):
    from mnist_small.report import plot_filters
    plot_filters(b.trained().model).savefig(b.folder/'filters.png')


def plot_predictions(b):
    import torch
    from mnist_small.report import plot_confusion, plot_mistakes
    probs,labels = [o.to(b.device).as_subclass(torch.Tensor) for o in b.trained().get_preds()]
    plot_confusion(probs, labels)
    plot_mistakes(b.few.x_test.to(b.device), probs, labels)


def default_device(b):
    import torch
    from mnist_small.images import load_images
    from mnist_small.learner import mnist_learner
    from mnist_small.loader import mnist_dls
    torch.set_default_device(b.device)
    try:
        load_images('digits')
        learn = mnist_learner(3, mnist_dls(images=b.few, valid='holdout'))
        learn.fit_one_cycle(1)
        learn.get_preds()
        learn.predict(b.few.x_test[0])
    finally:
        torch.set_default_device(None)


def get_preds(b):
    probs,labels = b.trained().get_preds()
    assert probs.device.type == labels.device.type == 'cpu' and len(probs) == len(b.few.x_test)


def predict(b):
    b.trained().predict(b.few.x_test[0])


def validate(b):
    b.trained().validate()


def show_results(b):
    b.trained().show_results()


def show_batch(b):
    b.learner().dls.show_batch()


def summary(b):
    b.learner().summary()


def export(b):
    from fastai.learner import load_learner
    b.trained().export('learner.pkl')
    learn = load_learner(b.folder/'learner.pkl', cpu=True)
    assert next(learn.model.parameters()).device.type == 'cpu'
    learn.predict(b.few.x_test[0])


def to_fp16(b):
    learn = b.learner().to_fp16()
    learn.fit_one_cycle(2)
    learn.get_preds()


def save_and_load(b):
    learn = b.trained()
    learn.save('saved')
    other = b.learner()
    other.load('saved')
    other.fit_one_cycle(1)


def interrupted(b):
    from fastai.callback.core import Callback
    def after_batch(self):
        if self.training and self.train_iter == 30:
            raise KeyboardInterrupt
    learn = b.learner()
    try:
        learn.fit_one_cycle(2, cbs=Callback(after_batch=after_batch))
    except KeyboardInterrupt:
        learn.recorder.plot_loss()
    learn.fit_one_cycle(1)


def start_epoch(b):
    b.trained().save('first', with_opt=True)
    learn = b.learner().load('first', with_opt=True)
    learn.fit_one_cycle(4, start_epoch=2)
    assert [o['epoch'] for o in learn.training_log.history] == [3,4]


def show_one(b):
    b.learner().dls.show_batch(unique=True)


def reduce_lr(b):
    from fastai.callback.tracker import ReduceLROnPlateau
    learn = b.learner()
    learn.fit(2, lr=.01, cbs=ReduceLROnPlateau(min_delta=10))
    assert learn.opt.hypers[-1]['lr'] < .01


def torchscript(b):
    import torch
    learn = b.trained()
    x = learn.dls.valid.one_batch()[0].as_subclass(torch.Tensor)
    assert torch.jit.script(learn.model.eval())(x).shape == (len(x),10)


def user_generator(b):
    "A training leaves the caller's generators as they were."
    import torch
    if b.on_card:
        before = torch.cuda.get_rng_state()
        b.trained()
        assert torch.equal(before, torch.cuda.get_rng_state()), 'the generator of the card was changed'


def packaged_weights(b):
    b.learner(pretrained=True).validate()


def run_and_report(b):
    from mnist_small.files import make_run_folder
    from mnist_small.runs import Run, RunRecorder
    run = make_run_folder(b.folder/'run')
    b.trained(images=b.images, cbs=RunRecorder(run)) # a report is on all of them
    Run(run).model()
    code = 'from mnist_small.cli import mnist_small_report; mnist_small_report()'
    args = [sys.executable, '-c', code, str(run), '--out', str(b.folder/'report'), '--data', b.data]
    done = subprocess.run(args, capture_output=True, text=True)
    assert done.returncode == 0, (done.stderr.strip().splitlines() or ['ended without a word'])[-1]


def resumed(b):
    "A training that was cut off ends with the weights of one that was not, if the card adds in the same order."
    import torch
    from mnist_small.files import make_run_folder
    from mnist_small.runs import Run, RunRecorder
    from torch.nn.utils import parameters_to_vector
    run = make_run_folder(b.folder/'resumed')
    with torch.backends.cudnn.flags(deterministic=True):
        whole,learn = b.learner(seed=1),b.learner(seed=1, cbs=RunRecorder(run))
        whole.fit_one_cycle(3)
        def interrupt(i, batch, own=learn.one_batch):
            if learn.training and learn.epoch == 1:
                raise KeyboardInterrupt
            own(i, batch)
        learn.one_batch = interrupt
        try:
            learn.fit_one_cycle(3)
        except KeyboardInterrupt:
            pass
        again = Run(run).resume(b.learner(seed=1))
    assert torch.equal(*(parameters_to_vector(o.model.parameters()) for o in (whole, again))), 'not the same weights'


def compiled(b):
    "torch.compile: training, then all that sees the network itself."
    learn = b.trained(compile='torch')
    assert learn.fast_training.why_not is None, learn.fast_training.why_not
    learn.get_preds()
    learn.lr_find(num_it=40)
    learn.fit(1)
    learn.validate()


def moved(b):
    "From the card to the CPU and back, between trainings."
    import torch
    learn = b.trained()
    for device in (torch.device('cpu'), b.device):
        learn.dls.to(device)
        learn.fit(1, .01, reset_opt=False)


def adam(b):
    from dataclasses import replace
    from mnist_small.recipes import RECIPES
    recipe = replace(RECIPES[3], opt='adam', lr=.01)
    b.trained(recipe=recipe).save('adam')
    b.learner(recipe=recipe).load('adam').fit_one_cycle(1)


def taught(b):
    "With the probabilities of another network."
    b.trained(recipe='fewest').validate()


def strokes(b):
    "With strokes made thicker and thinner."
    b.trained(recipe='reader').validate()


def interpretation(b):
    from fastai.interpret import ClassificationInterpretation
    o = ClassificationInterpretation.from_learner(b.trained())
    o.plot_confusion_matrix()
    o.plot_top_losses(4)


def tta(b):
    b.trained().tta(n=2)


def pictures(b):
    "Pictures are prepared, then read on the card."
    import numpy as np
    from PIL import Image
    picture = Image.fromarray(np.pad(255-np.kron(b.few.x_test[0].numpy(), np.ones((4,4), np.uint8)), 9,
                                     constant_values=255))
    learn = b.learner('reader', pretrained=True)
    assert learn.predict(picture)[0] == str(int(b.few.y_test[0]))
    learn.get_preds(dl=learn.dls.test_dl([picture]*3))


def exported(b):
    "A network that lies on the card is exported from there."
    from mnist_small.export import export_model
    export_model(b.trained().model, b.folder/'exported.safetensors')
    export_model(b.trained().model, b.folder/'exported.c')


VERBS = (plot_loss, lr_find, show_graph, plot_filters, plot_predictions, default_device, get_preds, predict, validate,
         show_results, show_batch, summary, export, to_fp16, save_and_load, interrupted, start_epoch, show_one,
         reduce_lr, torchscript, user_generator, packaged_weights, run_and_report,
         resumed, compiled, moved, adam, taught, strokes, interpretation, tta, pictures, exported)
"What is known to break on cards, each a function of a `Bench`."


def tried(verb, bench) -> str: # 'ok', or the last line of its error
    "Whether `verb` runs."
    import matplotlib.pyplot as plt
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            verb(bench)
            bench.wait()
    except Exception as e: # whatever it is, it is what was asked for
        return f'failed: {type(e).__name__}: {([o for o in str(e).splitlines() if o.strip()] or [""])[-1].strip()}'
    finally:
        plt.close('all')
    return 'ok'
