from ._options import Options
def run(options: Options) -> int: return 0
