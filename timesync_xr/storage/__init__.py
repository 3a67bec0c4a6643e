"""Bytes, anywhere: of assets to be read, of projects to be written whole or not at all."""
