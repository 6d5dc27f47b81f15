"""``pip install -e .`` makes ``import vugrad`` work from everywhere."""

from setuptools import setup

setup(name="vugrad", version="1.0", packages=["vugrad"], install_requires=["numpy>=1.26"])
