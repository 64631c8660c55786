"Everything is set in settings.ini; this hands it to setuptools."
import re
from configparser import ConfigParser
from pathlib import Path

import setuptools

config = ConfigParser(delimiters=['='])
config.read('settings.ini', encoding='utf-8')
cfg = config['DEFAULT']
lib = cfg['lib_path']
# a package index shows the README without the files beside it
readme = re.sub(r'(!?)\[([^]]*)\]\((?!https?:|#|mailto:)', lambda o: (
    f'{o[1]}[{o[2]}]({cfg["git_url"]}/{"raw" if o[1] else "blob"}/{cfg["branch"]}/'),
    Path('README.md').read_text(encoding='utf-8'))

setuptools.setup(
    name=cfg['lib_name'],
    version=cfg['version'],
    description=cfg['description'],
    long_description=readme,
    long_description_content_type='text/markdown',
    author=cfg['author'],
    author_email=cfg['author_email'],
    keywords=cfg['keywords'],
    url=cfg['git_url'],
    license='Apache-2.0',
    project_urls={'Documentation': f'{cfg["doc_host"]}{cfg["doc_baseurl"]}/',
                  'Changes': f'{cfg["git_url"]}/blob/{cfg["branch"]}/CHANGELOG.md'},
    classifiers=['Development Status :: 4 - Beta', 'Intended Audience :: Developers', 'Natural Language :: English',
                 'Operating System :: POSIX :: Linux', 'Programming Language :: Python :: 3',
                 'Programming Language :: Python :: 3.11'],
    packages=setuptools.find_packages(include=[lib, f'{lib}.*']),
    include_package_data=True,
    python_requires=f'>={cfg["min_python"]}',
    install_requires=cfg['requirements'].split(),
    extras_require={o: cfg[f'{o}_requirements'].split() for o in ('dev', 'docs', 'bench', 'onnx', 'cluster')},
    entry_points={'console_scripts': cfg['console_scripts'].split(), 'nbdev': [f'{lib}={lib}._modidx:d']},
    zip_safe=False)
