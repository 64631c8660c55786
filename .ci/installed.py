"What an installed package has to be able to do from any folder: read a digit, export, compile kernels, make a learner."
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

here = Path(tempfile.mkdtemp())
page = Image.new('L', (120,120), 255)
ImageDraw.Draw(page).line([(35,30), (85,30), (55,95)], 0, 9, 'curve')
page.save(here/'seven.png')
commands = Path(sys.executable).parent

said = subprocess.run([commands/'mnist_small_predict', here/'seven.png'], check=True, capture_output=True, text=True).stdout
assert said.split()[1] == '7', said
for to in ('digit.c', 'digit.safetensors'):
    subprocess.run([commands/'mnist_small_export', 'reader', here/to], check=True, capture_output=True)

import mnist_small
from mnist_small.kernels import Kernels
from mnist_small.models import model3
from mnist_small.all import mnist_dls, mnist_learner
from mnist_small.packaged import packaged_names

package = Path(mnist_small.__file__).parent
assert 'site-packages' in package.parts, package
for o in packaged_names():
    for ending in ('safetensors', 'json', 'onnx', 'md'):
        assert (package/'weights'/f'{o}.{ending}').stat().st_size, (o, ending)
Kernels(model3(), (128,1,28,28))
learn = mnist_learner(3, mnist_dls('digits'), pretrained=True)
label,_,probabilities = learn.predict(str(here/'seven.png'))
assert label == '7' and probabilities.max() > .5, (label, probabilities)
print(f'mnist_small {mnist_small.__version__} in {package}: reads, exports, compiles')
