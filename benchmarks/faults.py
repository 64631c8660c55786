"""Provoke what goes wrong around a program, and print what the commands make of it as a table.

    python -m benchmarks.faults --json results/faults.json      # every row
    python -m benchmarks.faults --quick                         # those that continuous integration runs
    python -m benchmarks.faults disk-full-log killed-worker     # some

Each row runs real commands on the embedded digits, in processes that are forked from this one once all is imported,
with folders of their own. A full disk is a small tmpfs, filled to its end at the moment when the file in question is
about to be written; a folder that turns read-only is one that is mounted anew so. These need `unshare`, or are skipped
by name; so is what needs root, strace, or a part of the library that is not there. A server here plays the mirror.

In every row: no traceback, the exit code that the row asks for, one line that says it, no file left that is half
written and would be taken for a whole one, and what was there before is still there. It exits with 1 if a row is not as
it should be.
"""
import argparse
import gzip
import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fault_tools import (
    Skip, Wrong, at_write, fill, forked, free, memory_limit, mirror, mount, read_only, touched, unmount, user)

ROWS = {}


@dataclass
class Result:
    "What a command came to."
    code: int|str # or 'hangs'
    out: str
    err: str
    @property
    def said(self) -> list: # Lines, without the one that a download begins with
        return [o for o in self.err.splitlines() if o.strip() and not o.startswith('Downloading MNIST')]


@dataclass
class Place:
    "A folder for one row, and what is done in it."
    folder: Path
    good: Path # A whole run, not to be changed
    disks: list = field(default_factory=list)
    cells: dict = field(default_factory=dict)

    def disk(self, size:str='4m') -> Path:
        "A file system of its own that takes so much."
        self.disks.append(mount(self.folder/f'disk{len(self.disks)}', size))
        return self.disks[-1]

    def run(self, name:str, *args, before=None, out=None, seconds:int=150) -> Result:
        "Run `mnist_small_{name}` in a process that does `before()` first."
        argv = [f'mnist_small_{name}', *map(str, args)]
        return Result(*forked(argv, self.folder, before, out, seconds))

    def train(self, folder:Path, *args, epochs:int=1, data='digits', way='off', **kwargs) -> Result:
        return self.run('train', '--data', data, '--epochs', epochs, '--compile', way, '--out', folder, *args, **kwargs)

    def copy(self, name:str='run') -> Path:
        "A copy of a whole run."
        return Path(shutil.copytree(self.good, self.folder/name))

    def told(self, result:Result, code:int, says:str, lines:int=1, left=None):
        "Have the row say what there was. Raises `Wrong` if the result is another than this."
        if 'Traceback' in result.err or result.code != code:
            raise Wrong(f'exit code {result.code} for {code}: {result.err.strip()[-1500:] or result.out[-300:]}')
        said = result.said if lines else [o for o in result.out.splitlines() if says in o]
        if lines and len(said) != lines or not any(says in o for o in said):
            raise Wrong(f'{len(said)} lines for {lines or 1}, asked for {says!r}: {said or result.out}')
        line = next(o for o in said if says in o)
        if len(said) > 1 and not lines:
            raise Wrong(f'said {len(said)} times: {line}')
        self.cells = dict(said=line, code=code, left=left)

    def holds(self, folder:Path, *names):
        "Raise `Wrong` unless `folder` has these files and no others; locks count as none."
        there = sorted(o.name for o in folder.iterdir() if o.name not in ('.mnist_small.lock', 'filler'))
        if there != sorted(names):
            raise Wrong(f'{folder.name} holds {there}, not {sorted(names)}')


def row(what:str, quick:bool=False, needs:bool=True):
    "Register a row: what happens, whether continuous integration runs it, whether all that it needs is there."
    def register(f):
        ROWS[f.__name__.replace('_', '-')] = (what, quick, needs, f)
        return f
    return register


RUN = 'recipe.json', 'history.csv', 'model.safetensors'
CUT_OFF = 'recipe.json', 'history.csv', 'checkpoint.safetensors'
"What a training leaves that did not come to its end."


# ---- a disk that is full, a folder that turns read-only

@row('The disk is full as a training begins', quick=True)
def disk_full_record(p):
    disk = p.disk()
    o = p.train(disk/'run', before=at_write({'recipe.json':fill(disk), 'checkpoint.safetensors':fill(disk)}))
    p.told(o, 1, 'No space left on device', left='nothing')
    p.holds(disk)


def in_turn(*actions):
    "A function that does one of `actions` each time, and nothing after the last one."
    left = iter(actions)
    return lambda: next(left, int)()


@row('… from the log of the first epoch on; there is room again in the third', quick=True)
def disk_full_log(p):
    disk = p.disk()
    again = in_turn(int, int, int, free(disk)) # a checkpoint is written before the first epoch, and after each
    full = at_write({'history.csv':in_turn(fill(disk)), 'checkpoint.safetensors':again})
    o = p.train(disk/'run', epochs=3, before=full)
    p.told(o, 0, 'cannot be written', lines=0, left='the run, its whole log included')
    p.holds(disk/'run', *RUN)
    if len((disk/'run'/'history.csv').read_text().splitlines()) != 4:
        raise Wrong('the log lacks epochs')


@row('… as a checkpoint is written; there is room again in the third epoch')
def disk_full_checkpoint(p):
    disk = p.disk()
    again = in_turn(int, fill(disk), int, free(disk))
    o = p.train(disk/'run', epochs=3, before=at_write({'checkpoint.safetensors':again}))
    p.told(o, 0, 'cannot be written', lines=0, left='the run')
    p.holds(disk/'run', *RUN)


@row('… as the final weights are written', quick=True)
def disk_full_weights(p):
    disk = p.disk()
    o = p.train(disk/'run', before=at_write({'model.safetensors':fill(disk)}))
    p.told(o, 1, 'model.safetensors cannot be written: No space left on device',
           left='record, log and checkpoint: a run that is cut off')
    p.holds(disk/'run', *CUT_OFF)
    if '--resume' not in o.err:
        raise Wrong(f'it does not say how to go on: {o.err}')


@row('… that a training prints to', quick=True)
def disk_full_output(p):
    o = p.train(p.folder/'run', out='/dev/full')
    p.told(o, 1, 'the output cannot be written: No space left on device', left='nothing')
    if (p.folder/'run').exists():
        p.holds(p.folder/'run')


@row('… as a report is written', quick=True)
def disk_full_report(p):
    disk = p.disk()
    o = p.run('report', p.good, '--data', 'digits', '--out', disk/'report', before=at_write({'report.md':fill(disk)}))
    p.told(o, 1, 'cannot be written: No space left on device', left='nothing; the run is as it was')
    p.holds(disk)


@row('… as a run of a sweep is written')
def disk_full_sweep(p):
    disk = p.disk()
    args = '--iteration', 3, '--seeds', '0-1', '--jobs', 1, '--epochs', 1, '--data', 'digits', '--compile', 'off'
    second = in_turn(int, fill(disk))
    o = p.run('sweep', *args, '--out', disk/'sweep', before=at_write({'model.safetensors':second}))
    p.told(o, 1, '1 of 2 runs are missing', left='the other run; a second call trains the one that is missing')
    p.holds(disk/'sweep'/'seed-00', *RUN)
    p.holds(disk/'sweep'/'seed-01', *CUT_OFF)
    free(disk)()
    if p.run('sweep', *args, '--out', disk/'sweep').code:
        raise Wrong('the second call does not finish it')


@row('… as the table of a sweep is written over one that is there')
def disk_full_table(p):
    disk = p.disk()
    args = ('--iteration', 3, '--seeds', '0', '--jobs', 1, '--epochs', 1, '--data', 'digits', '--compile', 'off',
            '--out', p.folder/'sweep', '--csv', disk/'table.csv')
    if p.run('sweep', *args).code:
        raise Wrong('the first call fails')
    before = (disk/'table.csv').read_bytes()
    o = p.run('sweep', *args, before=at_write({'table.csv':fill(disk)}))
    p.told(o, 1, 'table.csv cannot be written: No space left on device', left='the table and the runs as they were')
    p.holds(disk, 'table.csv')
    if (disk/'table.csv').read_bytes() != before:
        raise Wrong('the table was changed')


@row('… where compiled code is kept', needs=shutil.which('c++') is not None)
def disk_full_cache(p):
    disk = p.disk()
    fill(disk)()
    o = p.train(p.folder/'run', way='kernels', before=lambda: os.environ.update(XDG_CACHE_HOME=str(disk)))
    p.told(o, 0, 'target ', lines=0, left='the run; nothing in the cache')
    p.holds(p.folder/'run', *RUN)
    if [o.name for o in disk.rglob('*') if o.is_file()] != ['filler']:
        raise Wrong('something half is in the cache')


@row('… where a download is kept', quick=True)
def disk_full_download(p):
    disk = p.disk('1m')
    with mirror('good') as using:
        o = p.train(p.folder/'run', data='mnist', before=lambda: using(disk))
    p.told(o, 1, 'could not be downloaded (No space left on device)', left='files that are whole, or none')
    if any('.part' in o.name for o in (disk/'mnist_small').iterdir()):
        raise Wrong('a part is left')


@row('… as a network is exported over a file that is there')
def disk_full_export(p):
    disk = p.disk()
    (disk/'digit.c').write_text('kept')
    o = p.run('export', 3, disk/'digit.c', '--force', before=at_write({'digit.c':fill(disk)}))
    p.told(o, 1, 'cannot be written: No space left on device', left='the file that was there')
    p.holds(disk, 'digit.c')
    if (disk/'digit.c').read_text() != 'kept':
        raise Wrong('it was changed')


@row('… as the steps of a reading are drawn')
def disk_full_drawing(p):
    disk = p.disk()
    o = p.run('predict', digit(p.folder), '--show', disk/'steps.png', before=at_write({'steps.png':fill(disk)}))
    p.told(o, 1, 'steps.png cannot be written: No space left on device', left='nothing; the digit was printed')
    p.holds(disk)


@row('The folder turns read-only in a training', quick=True)
def read_only_run(p):
    disk = p.disk()
    o = p.train(disk/'run', before=at_write({'model.safetensors':read_only(disk)}))
    p.told(o, 1, 'model.safetensors cannot be written: Read-only file system',
           left='record, log and checkpoint: a run that is cut off')
    p.holds(disk/'run', *CUT_OFF)


@row('… is read-only as a training, a sweep, a report or an export begins', quick=True)
def read_only_begin(p):
    disk = p.disk()
    read_only(disk)()
    for args in (('train', '--data', 'digits', '--out', disk/'x'), ('sweep', '--data', 'digits', '--out', disk/'x'),
                 ('report', p.good, '--data', 'digits', '--out', disk/'x'), ('export', 3, disk/'x.c')):
        o = p.run(*args)
        p.told(o, 1, 'cannot be written', left='nothing')
        p.holds(disk)


@row('… is that of another user', quick=True, needs=os.geteuid() == 0)
def other_user(p):
    (p.folder/'theirs').mkdir(mode=0o755)
    o = p.train(p.folder/'theirs'/'run', before=user())
    p.told(o, 1, 'cannot be written: Permission denied', left='nothing')
    p.holds(p.folder/'theirs')


@row('The cache is read-only', needs=shutil.which('c++') is not None)
def read_only_cache(p):
    disk = p.disk()
    read_only(disk)()
    o = p.train(p.folder/'run', way='kernels', before=lambda: os.environ.update(XDG_CACHE_HOME=str(disk)))
    p.told(o, 0, 'target ', lines=0, left='the run; the code is compiled again each time')
    p.holds(p.folder/'run', *RUN)


# ---- memory

@row('Memory runs out as a training begins', quick=True)
def memory_training(p):
    o = p.train(p.folder/'run', before=memory_limit(2))
    p.told(o, 1, 'there is not enough memory', left='a run that is cut off before its first epoch')
    p.holds(p.folder/'run', 'recipe.json', 'checkpoint.safetensors')


@row('… as the library is imported')
def memory_import(p):
    code = 'import sys; sys.argv[0] = "mnist_small_train"; from mnist_small.cli import mnist_small_train as f; f()'
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
    ran = subprocess.run([sys.executable, '-c', code, '--data', 'digits', '--out', str(p.folder/'run')],
                         capture_output=True, text=True, preexec_fn=limit)
    p.told(Result(ran.returncode, ran.stdout, ran.stderr), 1, 'there is not enough memory', left='nothing')
    p.holds(p.folder)


@row('… in the runs of a sweep')
def memory_sweep(p):
    o = p.run('sweep', '--seeds', '0-1', '--jobs', 1, '--epochs', 1, '--data', 'digits', '--compile', 'off',
              '--out', p.folder/'sweep', before=memory_limit(2))
    p.told(o, 1, '2 of 2 runs are missing', left='runs that are cut off; a second call trains them')


@row('… as a large picture is read')
def memory_picture(p):
    from PIL import Image
    Image.new('RGBA', (9000,9000)).save(p.folder/'large.png')
    o = p.run('predict', p.folder/'large.png', digit(p.folder), before=memory_limit(100))
    p.told(o, 1, 'large.png does not fit into memory', left='the other pictures are read')
    if len(o.out.splitlines()) != 1:
        raise Wrong('the other picture was not read')


@row('… as images are loaded from files that are larger than it')
def memory_images(p):
    folder = digits_folder(p.folder/'data')
    n = 2**25
    with open(folder/'train-images-idx3-ubyte', 'wb') as f:
        f.write(bytes([0, 0, 8, 3])+n.to_bytes(4, 'big')+(28).to_bytes(4, 'big')*2)
        f.truncate(16+n*784)
    o = p.train(p.folder/'run', data=folder, before=memory_limit(1000))
    p.told(o, 1, 'does not fit into memory', left='nothing')


# ---- downloads

def download_row(way:str, what:str, says:str, quick:bool=False):
    def f(p):
        cache = p.folder/'cache'
        with mirror(way) as using:
            o = p.train(p.folder/'run', data='mnist', before=lambda: using(cache))
            p.told(o, 1, says, left='nothing')
            p.holds(cache/'mnist_small')
            if way == 'page':
                auto = p.train(p.folder/'run', data='auto', before=lambda: using(cache))
                if auto.code or 'embedded digits' not in auto.out or len(auto.said) != 1:
                    raise Wrong(f'auto does not fall back in one line: {auto.code} {auto.said}')
    f.__name__ = f'download_{way}'
    row(what, quick)(f)


download_row('short', 'A download breaks off', 'it is no gzip file, or not whole', quick=True)
download_row('chunks', '… breaks off where its length is not known', 'IncompleteRead')
download_row('silent', '… stalls', 'timed out', quick=True)
download_row('trickle', '… comes to a trickle', 'it comes too slowly')
download_row('endless', '… does not end', 'it is larger than')
download_row('page', '… is a page that asks to sign in', 'it is no gzip file', quick=True)
download_row('other', '… is another file', 'it has another checksum')
download_row('garbage', '… does not speak HTTP', 'SSH')


@row('The first mirror sends a page, the second one MNIST', quick=True)
def download_second(p):
    with mirror('page', 'good') as using:
        o = p.train(p.folder/'run', data='mnist', before=lambda: using(p.folder/'cache'))
    p.told(o, 0, 'target ', lines=0, left='the run, and the four files in the cache')
    p.holds(p.folder/'run', *RUN)


@row('A download was cut off by SIGKILL, or a file in the cache is damaged')
def download_again(p):
    cache = p.folder/'cache'
    (cache/'mnist_small').mkdir(parents=True)
    (cache/'mnist_small'/'train-images-idx3-ubyte').write_bytes(b'half')
    with mirror('good') as using:
        o = p.train(p.folder/'run', data='mnist', before=lambda: using(cache))
    p.told(o, 0, 'target ', lines=0, left='the run, and the four files in the cache, whole')


# ---- damaged files

class Code:
    "Runs as it is unpickled."
    def __init__(self, file:Path):
        self.file = file
    def __reduce__(self):
        return touched, (str(self.file),)


def flipped(raw:bytes, at:int) -> bytes:
    return raw[:at]+bytes([raw[at]^0x40])+raw[at+1:]


def damages(p:Place, name:str) -> dict: # Contents by what was done
    raw,order = (p.good/name).read_bytes(),[*RUN]
    swapped = (p.good/order[(order.index(name)+1)%3]).read_bytes() if name in order else (p.good/RUN[2]).read_bytes()
    at = {'recipe.json':raw.find(b'"seed"')+2, 'history.csv':raw.find(b'accuracy')}.get(name, len(raw)-6)
    return dict(truncated=raw[:len(raw)//2], empty=b'', swapped=swapped, flipped=flipped(raw, at),
                pickle=pickle.dumps(Code(p.folder/'ran')), long=None)


def damaged_row(name:str, quick:bool=False):
    def f(p):
        lines = []
        for kind,content in damages(p, name).items():
            run = p.copy(kind)
            (run/name).unlink()
            if content is None: # eight gigabytes that take no room
                with open(run/name, 'wb') as out:
                    out.truncate(2**33)
            else:
                (run/name).write_bytes(content)
            others = [p.good]*(kind == 'swapped') # which are shown all the same
            o = p.run('report', run, *others, '--data', 'digits', '--out', p.folder/f'report-{kind}')
            p.told(o, 1, run.name, left='the folder as it was; a report shows the other runs')
            if (p.folder/f'report-{kind}'/'report.md').exists() < bool(others):
                raise Wrong(f'{kind}: no report')
            lines.append(f'{kind}: {o.said[0]}')
            if content is not None and (run/name).read_bytes() != content or (p.folder/'ran').exists():
                raise Wrong(f'{kind}: the folder was changed, or code ran')
        p.cells['said'] = '<br>'.join(lines)
    f.__name__ = f'damaged_{name.partition(".")[0]}'
    row(f'`{name}` of a run is damaged', quick)(f)


for o in RUN:
    damaged_row(o, quick=o == 'model.safetensors')


@row('`checkpoint.safetensors` of a run is damaged')
def damaged_checkpoint(p):
    run,lines = p.folder/'run',[]
    def stop():
        os.kill(os.getpid(), signal.SIGKILL)
    p.train(run, epochs=2, before=at_write({'model.safetensors':stop}))
    raw = (run/'checkpoint.safetensors').read_bytes()
    for kind,content in dict(truncated=raw[:len(raw)//2], empty=b'', flipped=flipped(raw, len(raw)//2),
                             swapped=(p.good/'model.safetensors').read_bytes(),
                             pickle=pickle.dumps(Code(p.folder/'ran'))).items():
        (run/'checkpoint.safetensors').write_bytes(content)
        o = p.run('train', '--resume', run)
        p.told(o, 1, 'checkpoint.safetensors', left='the folder as it was')
        lines.append(f'{kind}: {o.said[0]}')
        if (run/'checkpoint.safetensors').read_bytes() != content or (p.folder/'ran').exists():
            raise Wrong(f'{kind}: it was changed, or code ran')
    p.cells['said'] = '<br>'.join(lines)


@row('The table of a sweep is no table', quick=True)
def damaged_table(p):
    (p.folder/'table.csv').write_bytes(pickle.dumps(Code(p.folder/'ran')))
    before = (p.folder/'table.csv').read_bytes()
    o = p.run('sweep', '--seeds', 0, '--epochs', 1, '--data', 'digits', '--out', p.folder/'sweep', '--csv',
              p.folder/'table.csv')
    p.told(o, 1, 'is no table of such a sweep', left='the file as it was')
    if (p.folder/'table.csv').read_bytes() != before or (p.folder/'ran').exists():
        raise Wrong('it was changed, or code ran')


@row('One of the four IDX files is damaged: cut off, empty, flipped, a page, a gzip file of 100 MB', quick=True)
def damaged_idx(p):
    folder,name,lines = digits_folder(p.folder/'data'),'train-images-idx3-ubyte',[]
    raw = (folder/name).read_bytes()
    packed = gzip.compress(raw, 1)
    for content in (raw[:9999], b'', flipped(packed, 999), b'<!doctype html>', gzip.compress(raw+bytes(10**8), 1)):
        (folder/name).write_bytes(content)
        o = p.train(p.folder/'run', data=folder)
        p.told(o, 1, name, left='nothing')
        lines.append(o.said[0])
    p.cells['said'] = '<br>'.join(lines)


@row('Some pictures are damaged: cut off, a page, a bomb in an icon, PostScript', quick=True)
def damaged_pictures(p):
    good = digit(p.folder)
    raw = good.read_bytes()
    at = raw.find(b'IHDR')
    size = (20000).to_bytes(4, 'big')*2+raw[at+12:at+17]
    bomb = raw[:at+4]+size+zlib.crc32(b'IHDR'+size).to_bytes(4, 'big')+raw[at+21:]
    icon = b'\0\0\1\0\1\0\x10\x10\0\0\1\0\x08\0'+len(bomb).to_bytes(4, 'little')+(22).to_bytes(4, 'little')+bomb
    wrong = dict(cut=raw[:80], page=b'<!doctype html>', bomb=bomb, icon=icon, program=b'%!PS-Adobe-3.0 EPSF-3.0\n'
                 b'%%BoundingBox: 0 0 28 28\n%%EndComments\nshowpage\n%%EOF\n')
    for k,v in wrong.items():
        (p.folder/f'{k}.png').write_bytes(v)
    o = p.run('predict', *[p.folder/f'{k}.png' for k in wrong], good)
    p.told(o, 1, 'not a picture', lines=len(wrong), left='the other pictures are read')
    if len(o.out.splitlines()) != 1:
        raise Wrong('the other picture was not read')
    p.cells['said'] = '<br>'.join(o.said)


# ---- processes

@row('A training is killed between the flush and the rename of its log', quick=True)
def killed_training(p):
    def stop():
        replace = os.replace
        def kill(a, b):
            if Path(b).name == 'history.csv' and Path(b).exists(): # the second time
                os.kill(os.getpid(), signal.SIGKILL)
            replace(a, b)
        os.replace = kill
    o = p.train(p.folder/'run', epochs=3, before=stop)
    if o.code != -signal.SIGKILL or len((p.folder/'run'/'history.csv').read_text().splitlines()) != 2:
        raise Wrong(f'{o}')
    report = p.run('report', p.folder/'run', '--data', 'digits', '--out', p.folder/'report')
    p.told(report, 1, 'none of these runs is complete', left='the log of the first epoch, whole; a run that is cut off')
    taken = p.train(p.folder/'run')
    if taken.code != 1 or 'already holds a run' not in taken.err:
        raise Wrong('its folder is taken by another')


@row('A worker of a sweep is killed')
def killed_worker(p):
    args = ('--iteration', 3, '--seeds', '0-1', '--jobs', 2, '--epochs', 2, '--data', 'digits', '--compile', 'off',
            '--out', p.folder/'sweep')
    def watch():
        from threading import Thread
        me = os.getpid()
        def kill():
            while True:
                time.sleep(.05)
                record = p.folder/'sweep'/'seed-01'/'recipe.json'
                found = subprocess.run(['pgrep', '-P', str(me)], capture_output=True, text=True).stdout.split()
                if record.exists() and len(found) > 1:
                    os.kill(int(found[1]), signal.SIGKILL)
                    return
        Thread(target=kill, daemon=True).start()
    o = p.run('sweep', *args, before=watch, seconds=300)
    p.told(o, 1, '1 of 2 runs are missing', left='the other run; a second call trains the one that is missing')
    if 'was killed (SIGKILL)' not in o.out:
        raise Wrong(f'it does not say so: {o.out}')
    p.cells['said'] = next(x for x in o.out.splitlines() if 'SIGKILL' in x)+'<br>'+p.cells['said']
    if p.run('sweep', *args, seconds=300).code:
        raise Wrong('the second call does not finish it')


@row('A file is written: what the system is asked for, in order', quick=True, needs=shutil.which('strace') is not None)
def flush_and_rename(p):
    log,file = p.folder/'calls',p.folder/'file'
    code = f'import pathlib, mnist_small.files as f; f.write_whole(pathlib.Path({str(file)!r}), b"x"*9)'
    subprocess.run(['strace', '-f', '-o', str(log), '-e', 'trace=openat,write,fsync,rename,renameat,renameat2,unlink',
                    sys.executable, '-c', code], check=True, cwd=Path(__file__).parent.parent)
    calls = [o.split(maxsplit=1)[1] for o in log.read_text().splitlines()]
    start = next(i for i,o in enumerate(calls) if o.startswith('openat') and '.part' in o)
    ours = [o.partition('(')[0] for o in calls[start:] if 'x'*9 in o or '.part' in o or o.startswith('fsync')]
    if [o[:6] for o in ours] != ['openat', 'write', 'fsync', 'rename', 'fsync'] or 'O_EXCL' not in calls[start]:
        raise Wrong(f'{ours}')
    p.cells = dict(said=', '.join(ours), code=0, left='the file, whole, and its name in the folder')


# ---- the rest

def digit(folder:Path) -> Path:
    "A picture of a digit, as PNG."
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits
    grey = Image.fromarray((255-load_digits().images[7]*15).astype(np.uint8))
    grey.resize((80,80)).save(folder/'digit.png')
    return folder/'digit.png'


def digits_folder(folder:Path) -> Path:
    "The embedded digits as four IDX files."
    from benchmarks.fault_tools import idx_files
    folder.mkdir()
    for name,content in idx_files().items():
        (folder/name).write_bytes(content)
    return folder


def run_row(name:str, scratch:Path, good:Path) -> dict:
    "Run one row; what its line in the table says."
    what,quick,needs,f = ROWS[name]
    told,start = dict(name=name, what=what, quick=quick),time.monotonic()
    if not needs:
        return dict(told, skipped='what it needs is not there')
    p = Place(scratch/name, good)
    p.folder.mkdir(mode=0o755)
    before = {o.name:o.read_bytes() for o in good.iterdir()}
    try:
        f(p)
        if {o.name:o.read_bytes() for o in good.iterdir()} != before:
            raise Wrong('a run that was only read has changed')
        told.update({k:v.replace(str(p.folder)+'/', '').replace(f'{good}', 'good') if isinstance(v, str) else v
                     for k,v in p.cells.items()})
    except Skip as e:
        told.update(skipped=f'{e}')
    except Wrong as e:
        told.update(wrong=f'{e}')
    except Exception:
        told.update(wrong=traceback.format_exc())
    finally:
        for o in p.disks:
            unmount(o)
    return dict(told, seconds=round(time.monotonic()-start, 1))


def table(rows:list) -> str:
    "The rows as Markdown."
    lines = ['| what happens | what is said | exit code | what is left |', '| --- | --- | --- | --- |']
    for o in rows:
        if 'wrong' in o or 'skipped' in o:
            said = 'WRONG: '+o['wrong'].splitlines()[-1] if 'wrong' in o else 'skipped: '+o['skipped']
            lines.append(f"| {o['what']} | {said.replace('|', '/')} | | |")
        else:
            said = o['said'].replace('|', '/').replace('mnist_small_', '')
            lines.append(f"| {o['what']} | {said} | {o['code']} | {o['left']} |")
    return '\n'.join(lines)


def apart():
    "Go on in a place where file systems can be mounted that nobody else sees, if there is such a place."
    if os.environ.get('FAULTS_APART') or not shutil.which('unshare'):
        return
    way = ['unshare', '-m'] if os.geteuid() == 0 else ['unshare', '-rm']
    if subprocess.run([*way, 'true'], capture_output=True).returncode == 0:
        os.environ['FAULTS_APART'] = '1'
        os.execvp('unshare', [*way, sys.executable, '-m', 'benchmarks.faults', *sys.argv[1:]])


def main():
    p = argparse.ArgumentParser(prog='python -m benchmarks.faults', description=__doc__.splitlines()[0])
    p.add_argument('rows', nargs='*', help='some rows, by name (default: all)')
    p.add_argument('--quick', action='store_true', help='only the rows that continuous integration runs')
    p.add_argument('--list', action='store_true', help='print the names of the rows')
    p.add_argument('--json', type=Path, help='also write the rows to this file')
    args = p.parse_args()
    for o in args.rows:
        if o not in ROWS:
            p.error(f'unknown row {o!r}: see --list')
    names = args.rows or [k for k,(_,quick,_,_) in ROWS.items() if quick or not args.quick]
    if args.list:
        return print('\n'.join(f'{k}: {ROWS[k][0]}' for k in names))
    apart()
    for o in ('MNIST_SMALL_DATA', 'MPLBACKEND'):
        os.environ.pop(o, None)
    scratch,rows = Path(tempfile.mkdtemp(prefix='faults')),[]
    scratch.chmod(0o755)
    try:
        made = Place(scratch, scratch).train(scratch/'good', epochs=2)
        if made.code:
            sys.exit(f'the run that is damaged later cannot be made: {made.err}')
        for name in names:
            rows.append(run_row(name, scratch, scratch/'good'))
            state = 'WRONG' if 'wrong' in rows[-1] else 'skipped' if 'skipped' in rows[-1] else 'fine'
            print(f'{name}: {state} ({rows[-1].get("seconds", 0)} s)', file=sys.stderr, flush=True)
            if 'wrong' in rows[-1]:
                print(rows[-1]['wrong'], file=sys.stderr, flush=True)
    finally:
        with suppress(OSError):
            shutil.rmtree(scratch)
    print(table(rows))
    if args.json:
        from mnist_small.record import machine_info
        rows = [{k:v for k,v in o.items() if k != 'seconds'} for o in rows]
        args.json.write_text(json.dumps(dict(machine=machine_info(), rows=rows), indent=1, ensure_ascii=False)+'\n')
    wrong = sum('wrong' in o for o in rows)
    print(f'faults: {sum("said" in o for o in rows)} as they should be, {wrong} not, '
          f'{sum("skipped" in o for o in rows)} skipped', file=sys.stderr)
    sys.exit(wrong > 0)


if __name__ == '__main__':
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
