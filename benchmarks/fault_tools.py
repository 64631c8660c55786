"""What `benchmarks.faults` provokes faults with: full disks, little memory, a bad mirror, commands that are forked."""
import gzip
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from contextlib import contextmanager
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread


class Skip(Exception):
    "The system does not allow what a row needs."


class Wrong(Exception):
    "A row did not come to what it should."


def forked(argv:list, cwd:Path, before, out, seconds:int) -> tuple: # exit code, or 'hangs'; output; errors
    "Run a command in a fork of this process, in which all that it imports is there already."
    import mnist_small.cli # noqa: F401 all of these here, once, before the first fork
    import mnist_small.answer, mnist_small.named, mnist_small.report, mnist_small.sweep # noqa: E401, F401
    import torch
    import torchvision.datasets # noqa: F401
    torch.set_num_threads(1) # or the fork lacks threads that it would wait for
    name = cwd/f'output-{time.monotonic_ns()}'
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _in_child(argv, cwd, before, out or f'{name}.out', f'{name}.err')
    deadline = time.monotonic()+seconds
    while True:
        pid,status = os.waitpid(child, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > deadline:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
        time.sleep(.02)
        if time.monotonic() > deadline:
            status = None
            break
    code = 'hangs' if status is None else os.waitstatus_to_exitcode(status)
    texts = [Path(o).read_text(errors='replace') if Path(o).is_file() else '' for o in (f'{name}.out', f'{name}.err')]
    for o in (f'{name}.out', f'{name}.err'):
        Path(o).unlink(missing_ok=True)
    return code, *texts


def _in_child(argv:list, cwd:Path, before, out:str, err:str):
    "Be the command. Ends the process."
    code = 1
    try:
        os.setpgid(0, 0)
        for number,path in ((0, os.devnull), (1, out), (2, err)):
            os.dup2(os.open(path, os.O_RDWR|os.O_CREAT, 0o666), number)
        os.chdir(cwd)
        sys.argv = argv
        import warnings

        import mnist_small.cli as cli
        import torch
        warnings.simplefilter('ignore')
        torch.set_num_threads(1)
        if before:
            before()
        getattr(cli, argv[0])()
        code = 0
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else int(e.code is not None)
    except BaseException: # as Python does where nothing catches it
        traceback.print_exc()
    finally:
        for o in (sys.stdout, sys.stderr):
            try:
                o.flush()
            except OSError:
                code = 120
        os._exit(code)


def at_write(actions:dict):
    "A function that has each of `actions` done as the file of its name is about to be written."
    def before():
        from mnist_small import files
        original = files.write_whole
        def write_whole(path, content):
            actions.get(path.name, int)()
            original(path, content)
        for o in [*sys.modules.values()]:
            if getattr(o, '__name__', '').startswith('mnist_small') and vars(o).get('write_whole') is original:
                o.write_whole = write_whole
    return before


def mount(folder:Path, size:str) -> Path:
    "A file system of that size."
    folder.mkdir()
    made = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size}', 'none', str(folder)], capture_output=True)
    if made.returncode:
        raise Skip('nothing can be mounted')
    return folder


def unmount(folder:Path):
    while not subprocess.run(['umount', '-l', str(folder)], capture_output=True).returncode:
        pass # there may be several, one above the other


def fill(disk:Path):
    "A function that leaves no room."
    def now():
        with open(disk/'filler', 'ab', 0) as f:
            for size in (2**16, 2**9, 1):
                try:
                    while True:
                        f.write(bytes(size))
                except OSError:
                    pass
    return now


def free(disk:Path):
    return lambda: (disk/'filler').unlink(missing_ok=True)


def read_only(disk:Path):
    "A function that mounts `disk` once more, above itself, so that nothing can be written."
    def now():
        for o in (['--bind', str(disk), str(disk)], ['-o', 'remount,bind,ro', str(disk)]):
            subprocess.run(['mount', *o], check=True, capture_output=True)
    return now


def user():
    "A function that makes the process one of another user."
    def now():
        os.environ.update(HOME='/nonexistent')
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    return now


def memory_limit(more:int): # MB
    "A function that lets the process have so much more memory than it has."
    def now():
        pages = int(Path('/proc/self/statm').read_text().split()[0])
        most = pages*os.sysconf('SC_PAGE_SIZE')+more*2**20
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    return now


def touched(file:str):
    "What the pickles of the table would run."
    Path(file).touch()


def idx_files() -> dict:
    "The embedded digits as the content of MNIST's four files."
    import numpy as np
    from mnist_small.images import MNIST_MD5, load_images
    o = load_images('digits')
    arrays = [v.numpy().astype(np.uint8) for v in (o.x_train, o.y_train, o.x_test, o.y_test)]
    return {k:bytes([0, 0, 8, v.ndim])+np.array(v.shape, '>u4').tobytes()+v.tobytes()
            for k,v in zip(MNIST_MD5, arrays, strict=True)}


def _answer(body:bytes, length:int|None=None) -> bytes:
    return b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n'%(len(body) if length is None else length)+body


class _Mirror(StreamRequestHandler):
    "Answers in the way that the first part of the path names."
    def handle(self):
        way,name = self.rfile.readline().split()[1].decode().strip('/').split('/')
        good = self.server.packed[name.removesuffix('.gz')]
        said = dict(good=_answer(good), page=_answer(b'<!doctype html><title>Sign in</title>'),
                    short=_answer(good[:999], len(good)), other=_answer(gzip.compress(b'another')),
                    chunks=b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n'+good[:999],
                    garbage=b'SSH-2.0-OpenSSH_9.6\r\n')
        try:
            self.wfile.write(said.get(way, b'HTTP/1.1 200 OK\r\n\r\n'))
            while way in ('silent', 'trickle', 'endless'):
                time.sleep(.05)
                self.wfile.write(dict(silent=b'', trickle=b'.', endless=bytes(2**22))[way])
        except OSError:
            pass # whoever asked has gone


@contextmanager
def mirror(*ways):
    "A server, and a function that has a process take it for MNIST's mirrors, digits for MNIST, and a folder as cache."
    files = idx_files()
    ThreadingTCPServer.daemon_threads,ThreadingTCPServer.block_on_close = True,False
    server = ThreadingTCPServer(('127.0.0.1', 0), _Mirror)
    server.packed = {k:gzip.compress(v, 1) for k,v in files.items()}
    Thread(target=server.serve_forever, daemon=True).start()
    def using(cache):
        import hashlib

        from mnist_small import images
        from torchvision.datasets import MNIST
        images.MNIST_MD5.update({k:hashlib.md5(v).hexdigest() for k,v in files.items()})
        images._PATIENCE = 1
        MNIST.mirrors = [f'http://127.0.0.1:{server.server_address[1]}/{o}/' for o in ways]
        os.environ['XDG_CACHE_HOME'] = str(cache)
    try:
        yield using
    finally:
        server.shutdown()
        server.server_close()
