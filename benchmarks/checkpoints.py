"""What the checkpoints of a training cost: the time that its record takes after each epoch, flushes included.

Iteration 3 is trained with its kernels, and its run is written to a folder of this disk. Timed is all that the record
does once an epoch is over: packing, writing, flushing and renaming the checkpoint, flushing its folder, and the log.
Beside it stands a plain write and flush of as many bytes, which is what the disk itself takes.
"""
import os
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.turns import parser, report


def flushed(file:Path, content:bytes) -> float: # Seconds
    "How long the disk takes for `content`."
    start = time.perf_counter()
    with open(file, 'wb') as f:
        f.write(content)
        f.flush()
        os.fsync(f.fileno())
    return time.perf_counter()-start


def main():
    p = parser(__doc__, 'checkpoints', 3, 'trainings of 15 epochs')
    p.add_argument('--folder', type=Path, default='.', help='where the runs are written (default: this folder)')
    args = p.parse_args()
    from mnist_small.files import CHECKPOINT
    from mnist_small.images import load_images
    from mnist_small.learner import mnist_learner
    from mnist_small.loader import mnist_dls
    from mnist_small.runs import RunRecorder
    dls,took,plain,epochs,size = mnist_dls(images=load_images(args.data)),[],[],[],0

    class Timed(RunRecorder):
        def after_epoch(self):
            start = time.perf_counter()
            super().after_epoch()
            took.append(time.perf_counter()-start)
            nonlocal size
            content = (self.folder/CHECKPOINT).read_bytes()
            size = len(content)
            plain.append(flushed(self.folder.parent/'plain', content))

    with tempfile.TemporaryDirectory(dir=args.folder, prefix='checkpoints-') as folder:
        for seed in range(args.rounds):
            learn = mnist_learner(3, dls, seed=seed, compile='kernels', cbs=Timed(Path(folder)/f'{seed}'))
            with learn.no_bar(), learn.no_logging():
                learn.fit_one_cycle(learn.recipe.epochs)
            epochs += [o['time'] for o in learn.training_log.history]
    out = dict(epochs=len(epochs), bytes=size, epoch_seconds=statistics.median(epochs),
               seconds=statistics.median(took), longest=max(took), plain_seconds=statistics.median(plain),
               share=sum(took)/sum(epochs))
    print(f'{len(epochs)} epochs of {out["epoch_seconds"]:.2f} s. A checkpoint of {size:,} bytes: '
          f'{1000*out["seconds"]:.1f} ms in the median, {1000*out["longest"]:.1f} at most; '
          f'the disk alone {1000*out["plain_seconds"]:.1f} ms')
    print(f'All of them: {100*out["share"]:.2f} % of the time of the epochs')
    report(args, **out)


if __name__ == '__main__':
    main()
