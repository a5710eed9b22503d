"""Look at the folder: settings, files, marker, results, requests. Everything else follows from this.

An event only says where to look first; what a look finds is the truth.
"""
