"""Translates SAM templates to CloudFormation as AWS would, offline: translate.py FILE... writes FILE.json beside each."""

import json
import os
import sys

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

import boto3  # noqa: E402
import yaml  # noqa: E402

yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # seven times as fast, and tests translate many

from samtranslator.parser.parser import Parser  # noqa: E402
from samtranslator.translator.translator import Translator  # noqa: E402
from samtranslator.yaml_helper import yaml_parse  # noqa: E402

session = boto3.Session()  # takes a while to make, and is never used


def translate(path):
    with open(path, encoding="utf-8") as source:
        template = yaml_parse(source)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key.zip"
    template.get("Globals", {}).get("Function", {}).pop("CodeUri", None)
    translated = Translator({}, Parser(), boto_session=session).translate(template, {"AWS::Region": "us-east-1"})
    translated["Transform"] = "AWS::LanguageExtensions"
    with open(path + ".json", "w", encoding="utf-8") as target:
        json.dump(translated, target)


for file in sys.argv[1:]:
    translate(file)
