from mmdistill.cli import main

main()
