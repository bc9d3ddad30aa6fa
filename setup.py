"""Build and install mmdistill; the ranges below are its dependencies."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SHIPPED = ('configs', 'tools', 'model-index.yml')

# torchvision is compiled against one torch, so both are bounded alike. Before
# 2.10 a file could run code past torch's weights-only unpickler. The
# onedl packages are bounded because the policy of mmdistill.checkpoints
# replaces a private function of mmengine while it is in force.
RUNTIME = [
    'onedl-mmengine>=0.10.12,<0.11',
    'onedl-mmcv>=2.3.6,<2.4',
    'onedl-mmpretrain>=1.3.6,<1.4',
    'torch>=2.10,<2.12',
    'torchvision>=0.25,<0.27',
    'numpy>=1.26,<2.5',
    'safetensors>=0.5',
    'scikit-learn>=1.5,<2',
    'pycocotools>=2.0.8,<3',
    'tensorboard>=2.17,<3',
    'matplotlib>=3.8,<4',
    'rich>=13',
    'timm>=1.0.20,<2',
]
# What tools/export_student.py needs for ONNX.
EXPORT = [
    'onnx>=1.17,<2',
    'onnxscript>=0.5,<1',
    'onnxruntime>=1.20,<2',
]
HF = ['transformers>=4.50,<5']
EXTRAS = {
    'export': EXPORT,
    # MMPretrain does not import beside transformers 5.
    'hf': HF,
    'tests': [
        *EXPORT,
        *HF,
        'mypy>=2.4,<2.5',
        'pytest>=8,<10',
        'pytest-xdist>=3.6,<4',
        'ruff>=0.17,<0.18',
    ],
    'docs': ['sphinx>=7', 'myst-parser>=3'],
}


def version():
    """``mmdistill.__version__``, read without importing the package."""
    scope = {}
    exec((ROOT / 'mmdistill' / 'version.py').read_text('utf-8'), scope)
    return scope['__version__']


def readme():
    path = ROOT / 'README.md'
    return path.read_text('utf-8') if path.exists() else ''


def shipped_files():
    """Paths, relative to the root, of everything that goes under .mim."""
    for name in SHIPPED:
        top = ROOT / name
        for path in [top] if top.is_file() else sorted(top.rglob('*')):
            if path.is_file() and '__pycache__' not in path.parts:
                yield path.relative_to(ROOT).as_posix()


class BuildPy(build_py):
    """Also puts configs and tools under ``mmdistill/.mim``.

    That is where OpenMMLab's packages keep them in a wheel. The copies are
    made in the build folder, never in the source tree; an editable install
    has the source tree itself.
    """

    def run(self):
        super().run()
        if self.editable_mode:
            return
        # leftovers of an earlier build would be packed, too
        shutil.rmtree(self.mim_folder(), ignore_errors=True)
        for name, target in self.shipped_targets().items():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)  # keeps the executable bit

    def mim_folder(self):
        return Path(self.build_lib, 'mmdistill', '.mim')

    def shipped_targets(self):
        return {name: self.mim_folder() / name for name in shipped_files()}

    def get_source_files(self):
        """What the sdist must hold, too, to build the same wheel."""
        return [*super().get_source_files(), *shipped_files()]

    def get_outputs(self, include_bytecode=True):
        outputs = super().get_outputs(include_bytecode)
        if not self.editable_mode:
            outputs += map(str, self.shipped_targets().values())
        return outputs


setup(
    name='mmdistill',
    version=version(),
    description='Representation distillation on MMEngine and MMPretrain',
    long_description=readme(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords='computer vision, knowledge distillation, self-supervision',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3 :: Only',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    python_requires='>=3.10',
    packages=find_packages(include=['mmdistill', 'mmdistill.*']),
    package_data={'mmdistill': ['py.typed']},
    install_requires=RUNTIME,
    extras_require=EXTRAS,
    entry_points={'console_scripts': ['mmdistill = mmdistill.cli:main']},
    cmdclass={'build_py': BuildPy},
    zip_safe=False,
)
