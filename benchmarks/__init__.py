"Benchmarks of mnist_small; `python -m benchmarks.overhead` compares an epoch of the library with a bare PyTorch loop."
